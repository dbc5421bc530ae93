// The model page: what bundle runs, where it may be believed, and how far the plant is from that now.
import { get, path } from "./api.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { legend } from "./looks.js";
import { trouble } from "./marks.js";
import { Question } from "./question.js";
import { announceMode, start, unitName } from "./shell.js";
import { noveltyWords } from "./side.js";
import { facts, panel, table } from "./tables.js";
import { Trend } from "./trends.js";
import { fixed, serverNow, short, span } from "./words.js";

const SHOWN_S = 3600;
const NOVELTY =
  "Novelty is the distance of the state from the training data over its threshold; above 1 the state is unlike them. Both figures inform; they refuse nothing.";

const SILENCE_S = 5; // a gap in the trend, not a line over what nobody heard

let model = null;
let view = null;
const novelty = figure();
const outside = figure();
const setpoint = figure();
const cells = new Map(); // tag -> [its value now, low, high]

/** A value, with its age in words where it is not of now: {node, update(text, {stale, age_s, quality})}. */
function figure(attributes = {}) {
  const value = el("span");
  const note = el("span", { class: "stale-note" });
  const node = el("span", { class: "figure", ...attributes }, value, " ", note);
  const update = (text, doubt) => {
    setText(value, text);
    setText(note, trouble(doubt));
    setAttribute(node, "data-stale", doubt.stale ? "yes" : null);
  };
  return { node, update };
}

const lines = [
  { key: "novelty", label: "novelty", look: "figure" },
  { key: "outside", label: "share of predictions outside their band", look: "sp" },
];
const trend = new Trend({
  title: "Novelty since this page was opened",
  unit: "",
  digits: 2,
  lines,
  limits: () => [{ name: "as far as the data", value: 1, look: "ceiling", always: true }],
});
const seen = { times: [], novelty: [], outside: [] };

function build(found) {
  model = found;
  cells.clear();
  const { dataset = {}, training = {} } = found.metrics ?? {};
  byId("model").replaceChildren(
    panel("Bundle", bundleFacts(found)),
    panel(
      "Out of distribution",
      facts([
        ["novelty", novelty.node],
        ["outside bands", outside.node],
      ]),
      el("p", { class: "why" }, NOVELTY),
      el("div", { class: "loop" }, trend.node, legend(lines)),
    ),
    panel(
      "Envelope",
      rangesTable([...(found.cvs ?? found.envelope ?? []), ...(found.mvs ?? [])]),
      facts([["setpoints now", setpoint.node]]),
    ),
    panel("Findings about the data", checksTable(found.data_checks ?? [])),
    panel("Data", figuresTable("Data", dataset)),
    panel("Training", figuresTable("Training", training)),
    panel("Files", figuresTable("Files", found.files ?? {}, "sha256")),
    panel(
      "Model card",
      el(
        "div",
        { class: "card-text", tabindex: 0, role: "region", "aria-label": "model card" },
        ...(found.card?.length ? found.card.map(cardPart) : ["The bundle has no card."]),
      ),
    ),
  );
}

const CARD_PARTS = new Set(
  "h3 h4 h5 h6 p ul ol li table thead tbody tr th td strong em code pre blockquote hr br".split(" "),
);

/** A part of the card: a text, or an element's name and what is in it. */
function cardPart(part) {
  if (typeof part === "string") return part;
  const [name, ...children] = part;
  return el(CARD_PARTS.has(name) ? name : "span", {}, ...children.map(cardPart));
}

const bundleFacts = (found) =>
  facts([
    ["name", found.name ?? "-"],
    ["version", found.version ?? "-"],
    ["sample time", span(found.sample_time_s)],
    ["horizon", span(found.horizon_s)],
    ["signed", found.signed === true ? "yes" : found.signed === false ? "no" : "unknown"],
    ["pinned", found.pinned ? "yes, by its manifest's sha256" : "no"],
    ["manifest sha256", el("code", {}, found.sha256 ?? "-")],
  ]);

function rangesTable(rows) {
  const columns = [
    { title: "Tag" },
    { title: "Low", class: "number" },
    { title: "High", class: "number" },
    { title: "Unit" },
    { title: "Ceiling", class: "number" },
    { title: "Now", class: "number" },
  ];
  const body = rows.map(({ tag, low, high, unit, safe_high: ceiling }) => {
    const now = figure({ "data-tag": tag });
    cells.set(tag, [now, low, high]);
    return [tag, short(low), short(high), unit, short(ceiling), now.node];
  });
  return table("Envelope", columns, body);
}

/** Figures of any depth, a row each. */
function figuresTable(title, figures, value = "Value") {
  const flat = (prefix, entry) =>
    entry !== null && typeof entry === "object" && !Array.isArray(entry)
      ? Object.entries(entry).flatMap(([name, inner]) => flat(prefix ? `${prefix}.${name}` : name, inner))
      : [
          [
            prefix,
            typeof entry === "number"
              ? short(entry)
              : el("span", { class: "anywhere" }, Array.isArray(entry) ? JSON.stringify(entry) : String(entry)),
          ],
        ];
  return table(title, [{ title: "Name" }, { title: value, class: "number" }], flat("", figures));
}

function checksTable(checks) {
  const columns = [
    { title: "Column" },
    { title: "Reason" },
    { title: "Figure" },
    { title: "Advice", class: "wide-text" },
  ];
  return table(
    "Findings",
    columns,
    checks.map(({ column, reason, figure, advice }) => [column, reason, figure, advice]),
  );
}

function show(now) {
  view = now;
  announceMode(now);
  fill();
  remember(now);
}

/** What the view tells, into the panels. */
function fill() {
  const share = view.model?.outside_bands;
  const told = { stale: view.mode_stale, age_s: view.scan?.age_s };
  novelty.update(noveltyWords(view.model?.novelty), told);
  outside.update(Number.isFinite(share) ? `${fixed(100 * share, 0)} % of predictions` : "-", told);
  for (const cv of view.cvs) cell(cv, cv.pv, cv.digits ?? 1);
  for (const mv of view.mvs) cell(mv, mv.actual, mv.digits ?? 2);
  const old = view.cvs.filter((cv) => cv.stale);
  const age = Math.max(...old.map((cv) => cv.age_s ?? NaN));
  setpoint.update(setpointWords(view), { stale: !view.connected || old.length > 0, age_s: age });
}

function cell(now, value, digits) {
  const [shown, low, high] = cells.get(now.tag) ?? [];
  const words = !Number.isFinite(value) ? "" : value < low ? ", below" : value > high ? ", above" : "";
  shown?.update(fixed(value, digits) + words, now);
}

/** Whether the model tracks the present setpoints: inside the ranges and on the inner side of every face. */
function setpointWords({ cvs }) {
  const wanted = cvs.map((cv) => cv.sp);
  if (model === null || wanted.some((value) => !Number.isFinite(value))) return "-";
  const within = (model.cvs ?? []).every(({ low, high }, at) => wanted[at] >= low && wanted[at] <= high);
  const inside = (model.envelope_sides ?? []).every(
    ({ normal, limit }) => normal.reduce((sum, share, at) => sum + share * wanted[at], 0) <= limit,
  );
  return within && inside
    ? "inside the operating points of the training data"
    : "outside the operating points of the training data: not tracked";
}

function remember({ mode_stale: silent, model: now }) {
  const time = serverNow();
  const last = seen.times.at(-1) ?? time - 1;
  if (time - last < 1) return;
  if (time - last > SILENCE_S) keep(last + 1, null);
  keep(time, silent ? null : now); // what a silent controller said last is not of now
  trend.show(seen.times, [seen.novelty, seen.outside]);
}

function keep(time, now) {
  seen.times.push(time);
  seen.novelty.push(now?.novelty ?? null);
  seen.outside.push(now?.outside_bands ?? null);
  if (seen.times.length > SHOWN_S) for (const column of Object.values(seen)) column.shift();
}

const bundle = new Question({
  put: () => get(path("api", "units", unitName, "model")),
  answered: (found) => {
    if (JSON.stringify(found) === JSON.stringify(model)) return; // what has not changed keeps its focus
    build(found);
    if (view !== null) fill();
  },
  refused: (error) => {
    if (model === null) byId("model").replaceChildren(el("p", { class: "problem" }, error.message));
  },
});

start({ unit: show, onBack: () => bundle.ask() });
bundle.ask();
