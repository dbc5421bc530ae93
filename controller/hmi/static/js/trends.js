// Trends: uPlot with our colours, limits, a readout by pointer or arrow keys, and the same figures as a table.
import { announce, el, setAttribute, setText, svg } from "./dom.js";
import { fixed, stamp, clock, NONE } from "./words.js";

const charts = new Set();
const styles = () => getComputedStyle(document.documentElement);
let colours = {};
let known = "";

// Distances of marks on the axis of time, whole seconds and what people count by [s].
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
];

/** A colour of hmi.css; canvases do not know the style sheet's variables. */
function colour(name) {
  const theme = document.documentElement.dataset.theme;
  if (known !== theme) [colours, known] = [{}, theme];
  colours[name] ??= styles().getPropertyValue(`--${name}`).trim();
  return colours[name];
}

document.addEventListener("theme", () => charts.forEach((chart) => chart.redraw()));

// How each kind of line looks: colour, dash, steps, width. Each has its own dash, so colour is not needed.
export const LOOKS = {
  pv: { colour: "line-pv", width: 2 },
  sp: { colour: "line-sp", width: 1.5, dash: [8, 4], step: true },
  policy: { colour: "line-policy", width: 1.5, dash: [2, 3], step: true },
  corrected: { colour: "line-corrected", width: 1.5, dash: [10, 3, 2, 3], step: true },
  applied: { colour: "line-applied", width: 2, step: true },
  actual: { colour: "line-actual", width: 1, step: true },
  figure: { colour: "line-pv", width: 1.5 },
};

/** The sample of a line for a legend. */
function swatch(look) {
  const { dash = [], width } = LOOKS[look];
  const line = svg("line", {
    x1: 0,
    x2: 24,
    y1: 4,
    y2: 4,
    "stroke-width": width,
    "stroke-dasharray": dash.join(" ") || null,
  });
  return svg("svg", { viewBox: "0 0 24 8", class: `swatch ${LOOKS[look].colour}`, "aria-hidden": "true" }, line);
}

/**
 * A trend. lines: [{key, label, look}]; unit, digits of the numbers; title for a screen reader;
 * onRange(from, to): a range was drawn with the pointer; limits(): [{value, label, always}].
 */
export class Trend {
  constructor({ title, unit, digits, lines, limits = () => [], range = null, onRange = null }) {
    Object.assign(this, { title, unit, digits, lines, limits, range, onRange });
    this.full = false;
    this.times = [];
    this.values = lines.map(() => []);
    this.box = el("div", { class: "chart", tabindex: 0, role: "img", "aria-label": title });
    this.readout = el("div", { class: "readout" });
    this.node = el("div", { class: "chart-box" }, this.box, this.readout);
    this.box.addEventListener("keydown", (event) => this.read(event));
    this.box.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.box);
    charts.add(this);
  }

  /** Show these: times [s since 1970], values: one list a line. */
  show(times, values, { from = null, to = null } = {}) {
    Object.assign(this, { times, values, from, to });
    const data = [times, ...values];
    if (this.plot) this.plot.setData(data);
    else if (this.box.clientWidth > 0) this.create(data);
    setAttribute(this.box, "aria-label", this.summary());
  }

  /** Let go of it for good. */
  end() {
    this.sizes.disconnect();
    this.plot?.destroy();
    charts.delete(this);
  }

  create(data) {
    this.plot = new window.uPlot(this.options(), data, this.box);
  }

  resize() {
    const [width, height] = [this.box.clientWidth, this.box.clientHeight];
    if (width === 0 || height === 0) return;
    if (this.plot) this.plot.setSize({ width, height });
    else this.create([this.times, ...this.values]);
  }

  redraw() {
    this.plot?.redraw(false, true);
  }

  /** The last value of each line in words. */
  summary() {
    const last = this.times.length - 1;
    if (last < 0) return `${this.title}: no values`;
    const words = this.lines.map(({ label }, index) => `${label} ${fixed(this.values[index][last], this.digits)}`);
    return `${this.title}, ${this.unit}: ${words.join(", ")}`;
  }

  options() {
    const grid = { stroke: () => colour("grid"), width: 1 };
    const axis = { stroke: () => colour("ink-soft"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const sizes = { width: this.box.clientWidth, height: this.box.clientHeight };
    return {
      ...sizes,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: this.onRange !== null, y: false }, points: { size: 6 } },
      select: { show: this.onRange !== null },
      scales: {
        x: { time: true, range: (_, low, high) => this.span(low, high) },
        y: { range: (_, low, high) => this.extent(low, high) },
      },
      series: [{}, ...this.lines.map((line) => series(line))],
      axes: [
        {
          ...axis,
          size: 28,
          space: 70,
          incrs: STEPS_S,
          values: (_, ticks, __, ___, step) =>
            ticks.map((tick) => (step >= 86400 ? stamp(tick).slice(5, 10) : clock(tick).slice(0, step >= 60 ? 5 : 8))),
        },
        {
          ...axis,
          size: 46,
          space: 26,
          values: (_, ticks, __, ___, step) => ticks.map((tick) => fixed(tick, places(step))),
        },
      ],
      hooks: {
        drawAxes: [(plot) => this.drawLimits(plot)],
        setCursor: [(plot) => this.point(plot.cursor.idx)],
        setSelect: [(plot) => this.selected(plot)],
      },
    };
  }

  /** The times shown: what was asked for, else what there is. */
  span(low, high) {
    return this.from !== null && this.to !== null ? [this.from, this.to] : [low, high];
  }

  /** The scale: everything in view, the alarm limits, and never less than a twentieth of the range. */
  extent(low, high) {
    const [least, most] = this.range ?? [null, null];
    const ranged = least !== null && most !== null && Number.isFinite(most - least);
    if (this.full && ranged) return [least, most];
    const always = this.limits()
      .filter((limit) => limit.always)
      .map((limit) => limit.value);
    const seen = [low, high, ...always].filter((value) => Number.isFinite(value));
    if (seen.length === always.length && ranged) return [least, most]; // limits alone
    if (seen.length === 0) return [0, 1];
    let [bottom, top] = [Math.min(...seen), Math.max(...seen)];
    const wanted = ranged ? (most - least) / 20 : Math.max(Math.abs(top), 1e-9) / 100;
    const lack = Math.max(wanted - (top - bottom), 0) / 2;
    const margin = 0.06 * Math.max(top - bottom, wanted) + lack;
    return [bottom - margin, top + margin];
  }

  drawLimits(plot) {
    const pen = plot.ctx;
    const { left, top, width, height } = plot.bbox;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    pen.lineWidth = devicePixelRatio;
    pen.textBaseline = "alphabetic";
    pen.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    const named = []; // [left or right, y] of the names so far
    for (const limit of this.limits()) {
      const y = plot.valToPos(limit.value, "y", true);
      if (!Number.isFinite(y) || y < top - 1 || y > top + height + 1) continue;
      pen.strokeStyle = colour(limit.always ? "limit" : "ink-faint");
      pen.fillStyle = colour("ink-soft");
      pen.setLineDash([devicePixelRatio, 3 * devicePixelRatio]);
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(left + width, y);
      pen.stroke();
      const crowded = named.some(([side, at]) => side === limit.always && Math.abs(at - y) < 12 * devicePixelRatio);
      if (crowded) continue;
      named.push([limit.always, y]);
      this.label(pen, limit, y, { left, top, right: left + width });
    }
    pen.restore();
  }

  /** The name of a limit: of an alarm on the left, any other on the right. */
  label(pen, limit, y, { left, top, right }) {
    const unit = devicePixelRatio;
    pen.textAlign = limit.always ? "left" : "right";
    const below = y - 14 * unit < top;
    pen.fillText(limit.label, limit.always ? left + 4 * unit : right - 4 * unit, below ? y + 12 * unit : y - 3 * unit);
  }

  point(index) {
    if (index === null || index === undefined) {
      setText(this.readout, "");
      return;
    }
    setText(this.readout, this.words(index));
  }

  words(index) {
    const figures = this.lines.map(({ label }, at) => `${label} ${fixed(this.values[at]?.[index], this.digits)}`);
    return `${clock(this.times[index])}  ${figures.join("  ")} ${this.unit}`;
  }

  /** Arrow keys move the readout. */
  read(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.plot || this.times.length === 0) return;
    event.preventDefault();
    const last = this.times.length - 1;
    const now = this.plot.cursor.idx ?? last;
    const index = Math.min(Math.max(now + steps[event.key], 0), last);
    this.plot.setCursor({ left: this.plot.valToPos(this.times[index], "x"), top: this.plot.over.clientHeight / 2 });
    announce(this.words(index));
  }

  selected(plot) {
    if (this.onRange === null || plot.select.width < 5) return;
    const from = plot.posToVal(plot.select.left, "x");
    const to = plot.posToVal(plot.select.left + plot.select.width, "x");
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.onRange(from, to);
  }
}

function series({ look, label }) {
  const { dash, step, width } = LOOKS[look];
  const paths = step ? window.uPlot.paths.stepped({ align: 1 }) : undefined;
  return {
    label,
    stroke: () => colour(LOOKS[look].colour),
    width,
    dash,
    paths,
    points: { show: false },
    spanGaps: false,
  };
}

/** Digits after the point that ticks `step` apart need: 0 for 5, 1 for 2.5, 2 for 0.05. */
function places(step) {
  const enough = (digits) =>
    Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6 * step * 10 ** digits;
  return [0, 1, 2, 3, 4, 5].find(enough) ?? 6;
}

/** The lines of a trend in words: swatch and label each. */
export const legend = (lines) =>
  el("ul", { class: "legend" }, ...lines.map(({ look, label }) => el("li", {}, swatch(look), label)));

/** Times and values as a table, the newest first, at most `rows` of them. */
export function valuesTable(times, columns, digits, rows = 12) {
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "Time"),
    ...columns.map(({ label }) => el("th", { scope: "col", class: "number" }, label)),
  );
  const body = [];
  const step = Math.max(1, Math.floor(times.length / rows));
  for (let index = times.length - 1; index >= 0 && body.length < rows; index -= step) {
    const cells = columns.map(({ values }) => el("td", { class: "number" }, fixed(values[index], digits)));
    body.push(el("tr", {}, el("th", { scope: "row" }, clock(times[index])), ...cells));
  }
  if (body.length === 0) body.push(el("tr", {}, el("td", { colspan: columns.length + 1 }, NONE)));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
}
