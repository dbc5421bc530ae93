// Trends: uPlot with our colours, limits, and a readout by pointer or arrow keys.
import { announce, el, setAttribute, setText } from "./dom.js";
import { LOOKS, colour } from "./looks.js";
import { clock, fixed, short, stamp } from "./words.js";

const charts = new Set();

// Distances of marks on the axis of time, whole seconds and what people count by [s].
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
];

document.addEventListener("theme", () => charts.forEach((chart) => chart.redraw()));

/**
 * A trend. lines: [{key, label, look}]; unit, digits of the numbers; title for a screen reader;
 * onRange(from, to): a range was drawn with the pointer;
 * limits(): [{name, value, look, always}], always: in view whatever the values are.
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
    const limits = this.limits().map(({ name, value }) => `${name} ${short(value)}`);
    return `${this.title}, ${this.unit}: ${[...words, ...limits].join(", ")}`;
  }

  options() {
    const grid = { stroke: () => colour("grid"), width: 1 };
    const axis = { stroke: () => colour("ink-soft"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const sizes = { width: this.box.clientWidth, height: this.box.clientHeight };
    return {
      ...sizes,
      padding: [20, 24, 0, 0], // above: the unit, and the name of a limit at the very top
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
    const margin = 0.09 * Math.max(top - bottom, wanted) + lack;
    return [bottom - margin, top + margin];
  }

  drawLimits(plot) {
    const pen = plot.ctx;
    const dot = devicePixelRatio;
    const { left, top, width, height } = plot.bbox;
    pen.save();
    pen.textBaseline = "alphabetic";
    pen.font = `${11 * dot}px system-ui, sans-serif`;
    pen.fillStyle = colour("ink-soft");
    pen.textAlign = "left";
    pen.fillText(this.unit, 2 * dot, top - 6 * dot);
    pen.beginPath();
    pen.rect(left, 0, width, top + height);
    pen.clip();
    const shown = this.limits()
      .map((limit) => ({ ...limit, y: plot.valToPos(limit.value, "y", true) }))
      .filter(({ y }) => y >= top - 1 && y <= top + height + 1);
    for (const { look, y } of shown) {
      const { dash = [], width: thick, colour: shade } = LOOKS[look];
      pen.strokeStyle = colour(shade);
      pen.lineWidth = thick * dot;
      pen.setLineDash(dash.map((length) => length * dot));
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(left + width, y);
      pen.stroke();
    }
    const named = []; // where the names so far stand: {right, y, end}
    for (const limit of shown) this.label(pen, limit, named, left, left + width);
    pen.restore();
  }

  /** The name of a limit: an end of a range on the right, any other on the left, beside its neighbours. */
  label(pen, { name, value, look, y }, named, left, edge) {
    const dot = devicePixelRatio;
    const right = look === "end";
    const text = `${name} ${short(value)}`;
    const beside = named.filter((other) => other.right === right && Math.abs(other.y - y) < 13 * dot);
    const start = Math.max(4 * dot, ...beside.map(({ end }) => end));
    const length = pen.measureText(text).width;
    const end = start + length + 8 * dot;
    if (end > edge - left) return;
    named.push({ right, y, end });
    const x = right ? edge - start - length : left + start;
    pen.fillStyle = colour("panel"); // no line runs through a name
    pen.fillRect(x - 2 * dot, y - 12 * dot, length + 4 * dot, 11 * dot);
    pen.fillStyle = colour("ink-soft");
    pen.fillText(text, x, y - 3 * dot);
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
