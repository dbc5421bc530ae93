// History of a range, read from the plant's own record.
import { get, path } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { legend } from "./looks.js";
import { limitWords, limitsOf } from "./marks.js";
import { Question } from "./question.js";
import { start, unitName } from "./shell.js";
import { panel, table, valuesTable } from "./tables.js";
import { Trend } from "./trends.js";
import { fixed, localInput, serverNow, spaced, span, stamp, toDate } from "./words.js";

const PRESETS = [
  ["15 min", 900],
  ["1 h", 3600],
  ["8 h", 28800],
  ["24 h", 86400],
  ["7 d", 604800],
];
const POINTS = 1000;
const LOOK = {
  pv: "pv",
  sp: "sp",
  actual: "actual",
  applied: "applied",
  corrected: "corrected",
  policy: "policy",
  target: "corrected",
};

const from = byId("from");
const to = byId("to");
let trends = [];
let asked = null; // [from, to] in seconds since 1970

function setRange(start, end) {
  from.value = localInput(start);
  to.value = localInput(end);
  load();
}

/** [from, to] in seconds since 1970, null where the fields say none. */
function range() {
  const [start, end] = [toDate(from.value), toDate(to.value)];
  return start && end ? [start.getTime() / 1000, end.getTime() / 1000] : null;
}

function load() {
  const wanted = range();
  if (wanted === null) return stop("Give both ends of the range.");
  const [start, end] = wanted;
  if (end <= start) return stop("The end must be later than the beginning.");
  say("reading ...");
  const address = new URL(location);
  address.searchParams.set("from", new Date(1000 * start).toISOString());
  address.searchParams.set("to", new Date(1000 * end).toISOString());
  history.replaceState(null, "", address);
  asked = wanted;
  past.ask();
}

/** Say what is wrong; what was asked before is no answer to it. */
function stop(text) {
  past.drop();
  say(text);
}

/** The range that is asked for, with the limits and ranges of now. */
const past = new Question({
  put: async () => {
    const [start, end] = asked;
    const query = new URLSearchParams({
      from: new Date(1000 * start).toISOString(),
      to: new Date(1000 * end).toISOString(),
      points: POINTS,
    });
    const variables = await readVariables();
    return { variables, found: await get(`${path("api", "units", unitName, "history")}?${query}`), start, end };
  },
  answered: show,
  refused: (error, pause) => say(error.message + (pause === null ? "" : `; asked again in ${span(pause / 1000)}`)),
});

/** [{tag, title, unit, digits, range, limits}] from the unit's view. */

async function readVariables() {
  const view = await get(path("api", "units", unitName));
  return [...view.cvs, ...view.mvs].map(
    ({ tag, title, unit, digits, low, high, ...rest }) => ({
      tag,
      title: title || spaced(tag),
      unit,
      digits: digits ?? 2,
      range: [low ?? null, high ?? null],
      limits: limitsOf(rest).map(({ name, value, ceiling = false }) => ({
        name,
        value,
        look: ceiling ? "ceiling" : "alarm",
        label: ceiling ? "ceiling" : "alarm limit",
        always: false,
      })),
    }),
  );
}

const say = (text) => setText(byId("state"), text);

function show({ variables, found, start, end }) {
  const { time, series, sampled = false, missing = [] } = found;
  const shown = variables
    .map((variable) => ({ ...variable, lines: linesOf(variable, series) }))
    .filter(({ lines }) => lines.length);
  say(
    time.length === 0 || shown.length === 0
      ? "Nothing is recorded in this range."
      : `${stamp(start)} to ${stamp(end)}, ${time.length} points; ${sampled ? "thinned to samples, " : ""}${missing.length ? `without ${missing.join(", ")}, ` : ""}draw a range with the pointer to look closer.`,
  );
  for (const trend of trends.splice(0)) trend.end();
  byId("history").replaceChildren(...shown.map((variable) => chart(variable, time, series, start, end)));
  byId("figures").hidden = shown.length === 0;
  byId("figures-table").replaceChildren(figures(shown, series));
}

const linesOf = ({ tag }, series) =>
  Object.keys(series)
    .filter((name) => name.slice(name.indexOf("/") + 1) === tag)
    .map((name) => ({
      key: name,
      label: name.split("/")[0].replace(/^(pv|sp)$/, (word) => word.toUpperCase()),
      look: LOOK[name.split("/")[0]] ?? "figure",
    }));

function chart({ title, unit, digits, lines, limits, range: extent }, time, series, start, end) {
  const trend = new Trend({
    title: `History of ${title}`,
    unit,
    digits,
    lines,
    limits: () => limits,
    range: extent,
    onRange: setRange,
  });
  const kinds = new Map(limits.map(({ look, label }) => [look, { look, label }]));
  const box = panel(
    `${title} [${unit}]`,
    trend.node,
    el(
      "div",
      { class: "loop-foot" },
      legend([...lines, ...kinds.values()]),
      tableBox(lines, time, series, digits, limitWords(limits, unit)),
    ),
  );
  box.classList.add("loop");
  trends.push(trend);
  trend.show(
    time,
    lines.map(({ key }) => series[key]),
    { from: start, to: end },
  );
  return box;
}

function tableBox(lines, time, series, digits, limits) {
  const columns = lines.map(({ key, label }) => ({ label, values: series[key] }));
  const box = el("details", {}, el("summary", {}, "Figures"));
  box.addEventListener(
    "toggle",
    () =>
      box.open &&
      box.childElementCount === 1 &&
      box.append(el("div", { class: "scroll" }, valuesTable(time, columns, digits, 24, limits))),
  );
  return box;
}

function figures(shown, series) {
  const rows = shown.flatMap(({ title, unit, digits, lines }) =>
    lines.map(({ key, label }) => {
      const values = series[key].filter((value) => Number.isFinite(value));
      const mean = values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
      const figure = (value) => fixed(value, digits);
      return [
        `${title} ${label}`,
        figure(values.length ? Math.min(...values) : null),
        figure(mean),
        figure(values.length ? Math.max(...values) : null),
        figure(values.at(-1)),
        unit,
      ];
    }),
  );
  const columns = [
    { title: "Variable" },
    { title: "Lowest", class: "number" },
    { title: "Mean", class: "number" },
    { title: "Highest", class: "number" },
    { title: "Last", class: "number" },
    { title: "Unit" },
  ];
  return table("Figures of this range", columns, rows);
}

byId("presets").append(
  ...PRESETS.map(([label, seconds]) =>
    el("button", { type: "button", onclick: () => setRange(serverNow() - seconds, serverNow()) }, label),
  ),
);
byId("range").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});

/** Move or widen the range by shares of its length. */
const move = (before, after) => () => {
  const wanted = range();
  if (wanted === null) return;
  const length = wanted[1] - wanted[0];
  setRange(wanted[0] + before * length, wanted[1] + after * length);
};
byId("earlier").addEventListener("click", move(-0.5, -0.5));
byId("later").addEventListener("click", move(0.5, 0.5));
byId("wider").addEventListener("click", move(-0.5, 0.5));

start();
const given = new URLSearchParams(location.search);
const [begin, finish] = [toDate(given.get("from")), toDate(given.get("to"))];
if (begin && finish) setRange(begin, finish);
else setRange(serverNow() - 3600, serverNow());
