// The model page: what bundle runs, where it may be believed, and how far the plant is from that now.
import { ApiError, get, path } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { announceMode, start, unitName } from "./shell.js";
import { noveltyWords } from "./side.js";
import { facts, panel, table } from "./tables.js";
import { Trend, legend } from "./trends.js";
import { fixed, short, span } from "./words.js";

const NOW_S = 3600;
const present = new Map(); // tag -> the span that shows its value now
const novelty = el("span");
const outside = el("span");

function build(model) {
  byId("model").replaceChildren(
    panel("Bundle", bundleFacts(model)),
    panel("Out of distribution", facts([["novelty now", novelty], ["outside bands", outside]]), el("p", { class: "why" }, "Novelty is the distance of the state from the training data over its threshold: above 1 the state is unlike them. It informs; it refuses nothing."), trendBox()),
    panel("Envelope", envelopeTable(model.envelope ?? [])),
    ...(model.setpoints?.length ? [panel("Setpoints", envelopeTable(model.setpoints))] : []),
    panel("Metrics of the training", metricsTable(model.metrics ?? {})),
    panel("Model card", el("pre", { class: "card-text", tabindex: 0 }, model.card_text || "The bundle has no card.")),
  );
}

const bundleFacts = (model) =>
  facts([
    ["name", model.name ?? "-"],
    ["version", model.version ?? "-"],
    ["sample time", span(model.sample_time_s)],
    ["signed", model.signed === true ? "yes" : model.signed === false ? "no" : "unknown"],
    ["manifest sha256", el("code", {}, model.sha256 ?? "-")],
  ]);

function envelopeTable(rows) {
  const columns = [{ title: "Tag" }, { title: "Low", class: "number" }, { title: "High", class: "number" }, { title: "Unit" }, { title: "Now", class: "number" }];
  const cells = rows.map(({ tag, low, high, unit }) => {
    const now = el("span", { "data-tag": tag });
    if (!present.has(tag)) present.set(tag, []);
    present.get(tag).push([now, low, high]);
    return [tag, short(low), short(high), unit, now];
  });
  return table("Envelope", columns, cells);
}

function metricsTable(metrics) {
  const rows = Object.entries(metrics).map(([name, value]) => [name, typeof value === "number" ? short(value) : String(value)]);
  return table("Metrics", [{ title: "Metric" }, { title: "Value", class: "number" }], rows);
}

const lines = [
  { key: "novelty", label: "novelty", look: "figure" },
  { key: "outside_bands", label: "outside bands", look: "sp" },
];
const trend = new Trend({ title: "Trend of novelty, last hour", unit: "", digits: 2, lines, limits: () => [{ value: 1, label: "1", always: true }] });

const trendBox = () => el("div", { class: "loop" }, trend.node, legend(lines));

async function loadTrend() {
  const { time, series } = await get(`${path("api", "units", unitName, "trend")}?seconds=${NOW_S}`);
  const none = time.map(() => null);
  trend.show(time, lines.map(({ key }) => series[key] ?? none));
}

function show(view) {
  announceMode(view);
  setText(novelty, noveltyWords(view.model?.novelty));
  const share = view.model?.outside_bands;
  setText(outside, Number.isFinite(share) ? `${fixed(100 * share, 0)} % of predictions` : "-");
  const values = [...view.cvs.map((cv) => [cv.tag, cv.pv, cv.digits ?? 1]), ...view.mvs.map((mv) => [mv.tag, mv.actual, mv.digits ?? 2])];
  for (const [tag, value, digits] of values) {
    for (const [node, low, high] of present.get(tag) ?? []) {
      const beyond = value < low ? ", below" : value > high ? ", above" : "";
      setText(node, fixed(value, digits) + (Number.isFinite(value) ? beyond : ""));
    }
  }
}

async function load() {
  try {
    build(await get(path("api", "units", unitName, "model")));
    await loadTrend();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (byId("model").childElementCount === 0) byId("model").append(el("p", { class: "problem" }, error.message));
  }
}

start({ unit: show, onBack: load });
load();
setInterval(() => document.hidden || loadTrend().catch(() => {}), 10000);
