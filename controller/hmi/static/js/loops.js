// One panel a variable: figures, bar, trend, and the figures of the trend as a table.
import { el, setAttribute, setText } from "./dom.js";
import { alarmBeside, bar, barOf, limitWords, limitsOf, rangeWords, trouble } from "./marks.js";
import { legend } from "./looks.js";
import { valuesTable } from "./tables.js";
import { Trend } from "./trends.js";
import { fixed, short, spaced } from "./words.js";

/** Alarm limits within this share of the range from SP are always in view, others as PV comes near. */
const NEAR = 0.25;

/** What both kinds share: the panel, the trend and its table. */
class Loop {
  constructor(tag, title, unit, digits, lines) {
    Object.assign(this, { tag, title, unit, digits, lines });
    this.now = null;
    this.trend = new Trend({ title: `Trend of ${title}`, unit, digits, lines, limits: () => this.limits() });
    this.legend = el("div");
    this.table = el("div", { class: "scroll" });
    this.details = el("details", {}, el("summary", {}, "Figures"), this.table);
    this.details.addEventListener("toggle", () => this.fill());
    this.note = el("span", { class: "stale-note" });
  }

  frame(...content) {
    const id = `loop-${this.tag}`;
    const head = el("div", { class: "loop-head" }, el("h2", { id }, this.title), ...content);
    return el(
      "section",
      { class: "panel loop", "aria-labelledby": id, "data-tag": this.tag },
      head,
      this.trend.node,
      el("div", { class: "loop-foot" }, this.legend, this.details),
    );
  }

  draw(buffer, { from, to, full }) {
    this.times = buffer.times;
    this.columns = this.lines.map(({ key }) => buffer.column(key));
    this.trend.range = this.range();
    this.trend.full = full;
    this.trend.show(this.times, this.columns, { from, to });
    this.name();
    this.fill();
  }

  /** The legend, with the kinds of limits that there are. */
  name() {
    const kinds = new Map(this.limits().map(({ look, kind }) => [look, { look, label: kind }]));
    const key = [...kinds.keys()].join();
    if (this.named === key) return;
    this.named = key;
    this.legend.replaceChildren(legend([...this.lines, ...kinds.values()]));
  }

  /** The table is made only while someone looks at it. */
  fill() {
    if (!this.details.open || !this.times) return;
    const columns = this.lines.map(({ label }, index) => ({
      label: `${label} [${this.unit}]`,
      values: this.columns[index],
    }));
    const limits = limitWords(this.limits(), this.unit);
    this.table.replaceChildren(valuesTable(this.times, columns, this.digits, 12, limits));
  }

  mark(value) {
    setAttribute(this.node, "data-stale", value.stale ? "yes" : null);
    setText(this.note, trouble(value));
  }
}

export class Controlled extends Loop {
  constructor(cv) {
    const lines = [
      { key: `pv/${cv.tag}`, label: "PV", look: "pv" },
      { key: `sp/${cv.tag}`, label: "SP", look: "sp" },
    ];
    super(cv.tag, cv.title || spaced(cv.tag), cv.unit, cv.digits ?? 1, lines);
    this.value = el("span", { class: "value" });
    this.wanted = el("span", { class: "sp-value" });
    this.words = el("span", { class: "limits" });
    this.alarm = alarmBeside();
    this.scale = bar();
    this.node = this.frame(
      el(
        "p",
        { class: "figures" },
        this.alarm.node,
        this.value,
        el("span", { class: "unit-of" }, cv.unit),
        this.wanted,
        this.note,
      ),
      el("div", { class: "loop-bar" }, this.scale.node, this.words),
    );
  }

  update({ cvs, actions }) {
    const allowed = actions?.setpoints?.find((one) => one.tag === this.tag) ?? {};
    const now = { ...cvs.find((cv) => cv.tag === this.tag), sp_low: allowed.low, sp_high: allowed.high };
    this.now = now;
    setText(this.value, fixed(now.pv, this.digits));
    setText(this.wanted, `SP ${fixed(now.sp, this.digits)}`);
    setText(this.words, rangeWords(now));
    this.alarm.update(now.alarm);
    this.mark(now);
    this.scale.update(barOf(now));
  }

  limits() {
    if (this.now === null) return [];
    const { sp, sp_low: lowest, sp_high: highest, low, high } = this.now;
    const near = (value) => Number.isFinite(sp) && Math.abs(value - sp) <= NEAR * (high - low);
    const ends = [
      [lowest, "lowest SP"],
      [highest, "highest SP"],
      [low, "range low"],
      [high, "range high"],
    ].filter(([value], at, all) => Number.isFinite(value) && all.findIndex(([other]) => other === value) === at);
    return [
      ...limitsOf(this.now).map(({ name, value, ceiling = false }) => ({
        name,
        value,
        look: ceiling ? "ceiling" : "alarm",
        kind: ceiling ? "ceiling" : "alarm limit",
        always: ceiling || near(value),
      })),
      ...ends.map(([value, name]) => ({ name, value, look: "end", kind: "range", always: false })),
    ];
  }

  range() {
    return [this.now?.low ?? null, this.now?.high ?? null];
  }
}

export class Manipulated extends Loop {
  constructor(mv) {
    const lines = [
      { key: `applied/${mv.tag}`, label: "applied", look: "applied" },
      { key: `corrected/${mv.tag}`, label: "corrected", look: "corrected" },
      { key: `policy/${mv.tag}`, label: "policy", look: "policy" },
      { key: `actual/${mv.tag}`, label: "actual", look: "actual" },
    ];
    super(mv.tag, mv.title || spaced(mv.tag), mv.unit, mv.digits ?? 2, lines);
    this.mode = el("span", { class: "loop-mode" });
    this.words = el("span", { class: "limits" });
    this.reason = el("p", { class: "why" });
    this.figures = Object.fromEntries(
      ["policy", "corrected", "applied", "actual"].map((name) => [
        name,
        el("span", { class: "value", "data-figure": name }),
      ]),
    );
    const list = Object.entries(this.figures).map(([name, figure]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, figure, " ", el("span", { class: "unit-of" }, mv.unit))),
    );
    this.told = list.slice(0, -1); // by the controller; the last is by the plant
    this.node = this.frame(
      el("p", { class: "figures" }, this.mode, this.note),
      el("dl", { class: "steps" }, ...list),
      this.words,
      this.reason,
    );
  }

  update({ mvs, moves = [], mode_stale: silent }) {
    for (const figure of this.told) setAttribute(figure, "data-stale", silent ? "yes" : null);
    const now = mvs.find((mv) => mv.tag === this.tag);
    const move = moves.find((one) => one.tag === this.tag) ?? {};
    this.now = { ...now, ...move };
    const shown = { policy: move.policy, corrected: move.corrected, applied: move.applied, actual: now.actual };
    for (const [name, value] of Object.entries(shown)) setText(this.figures[name], fixed(value, this.digits));
    setText(this.mode, [now.mode, now.status].filter(Boolean).join(", "));
    setText(this.words, `${short(this.now.low)} to ${short(this.now.high)} ${now.unit}`);
    setText(this.reason, move.reason ?? "");
    this.mark(now);
  }

  limits() {
    const { low, high } = this.now ?? {};
    const ends = [
      [low, "low limit"],
      [high, "high limit"],
    ].filter(([value]) => Number.isFinite(value));
    return ends.map(([value, name]) => ({ name, value, look: "end", kind: "limit", always: false }));
  }

  range() {
    return [this.now?.low ?? null, this.now?.high ?? null];
  }
}
