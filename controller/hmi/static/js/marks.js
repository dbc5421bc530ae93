// Small pictures with a meaning: alarm symbols, mode, lamps, and the bar of a value between its limits.
import { el, setAttribute, setText, svg } from "./dom.js";
import { short, span } from "./words.js";

// Priority by shape and number as well as by colour (ISA-101, ISA-18.2).
const SHAPES = {
  high: ["M2 2H18V18H2Z", "1"],
  medium: ["M10 1L19 18H1Z", "2"],
  low: ["M10 1L19 10L10 19L1 10Z", "3"],
};
const WORDS = { high: "high", medium: "medium", low: "low" };

/** The symbol of a priority; `open`: nobody has acknowledged it. */
export function alarmMark(priority, state) {
  const [shape, number] = SHAPES[priority] ?? SHAPES.low;
  const gone = state === "normal";
  return svg(
    "svg",
    {
      viewBox: "0 0 20 20",
      class: `mark ${gone ? "gone" : (WORDS[priority] ?? "low")} ${state ?? ""}`,
      "aria-hidden": "true",
    },
    svg("path", { d: shape }),
    svg("text", { x: 10, y: priority === "medium" ? 16 : 14, "text-anchor": "middle" }, number),
  );
}

/** The symbol of all alarms of a unit together; one that has returned unseen is an outline, as in the list. */
export function alarmsMark({ active, unacknowledged, highest }) {
  const state = unacknowledged ? (active ? "unacknowledged" : "returned") : "acknowledged";
  return alarmMark(highest ?? "low", state);
}

/** One lamp: {node, update(on, text)}; shape and word beside the shade. */
export function lamp(label) {
  const light = svg("circle", { cx: 7, cy: 7, r: 5 });
  const picture = svg("svg", { viewBox: "0 0 14 14", class: "lamp", "aria-hidden": "true" }, light);
  const state = el("span", { class: "lamp-state" });
  const words = el("span", { class: "lamp-text" });
  const node = el("li", {}, picture, el("span", { class: "lamp-label" }, label), state, words);
  const update = (on, text) => {
    setAttribute(node, "data-on", on === null || on === undefined ? "none" : on ? "yes" : "no");
    setText(state, on === null || on === undefined ? "unknown" : on ? "on" : "off");
    setText(words, text);
  };
  return { node, update };
}

/** The mode as a box of text. */
export function modeBox() {
  const node = el("span", { class: "mode" });
  const update = (mode, stale = false) => {
    setText(node, mode ?? "unknown");
    setAttribute(node, "data-mode", mode ?? "unknown");
    setAttribute(node, "data-stale", stale ? "yes" : null);
  };
  return { node, update };
}

const HEIGHT = 24;

/** A bar from `low` to `high`: limits, allowed range, SP (triangle) and PV (pointer). */
export function bar() {
  const picture = svg("svg", { class: "bar", height: HEIGHT, width: "100%", "aria-hidden": "true" });
  const node = el("div", { class: "bar-box" }, picture);
  const allowed = svg("rect", { class: "allowed", y: 11, height: 7 });
  const marks = svg("g");
  const target = svg("svg", { y: 0, overflow: "visible", class: "sp" }, svg("path", { d: "M-5 1H5L0 10Z" }));
  const pointer = svg("svg", { y: 0, overflow: "visible", class: "pv" }, svg("path", { d: "M0 10L4 15L0 23L-4 15Z" }));
  picture.append(
    svg("rect", { class: "track", x: 0, y: 11, width: "100%", height: 7 }),
    allowed,
    marks,
    target,
    pointer,
  );
  let drawn = "";

  /** from, to: the scale; value, wanted: PV and SP; low, high: where SP may be; limits: [{kind, value}]. */
  function update({ from, to, value, wanted, low, high, limits = [] }) {
    const share = (number) => Math.min(Math.max((number - from) / (to - from), 0), 1);
    const usable = Number.isFinite(from) && Number.isFinite(to) && to > from;
    setAttribute(node, "hidden", !usable);
    if (!usable) return;
    const key = JSON.stringify([from, to, low, high, limits]);
    if (key !== drawn) {
      drawn = key;
      const left = 100 * share(low ?? from);
      setAttribute(allowed, "x", `${left}%`);
      setAttribute(allowed, "width", `${Math.max(100 * share(high ?? to) - left, 0)}%`);
      const shapes = limits.map((limit) => limitMark(limit, share));
      marks.replaceChildren(...shapes.map(({ beyond }) => beyond), ...shapes.map(({ edge }) => edge));
    }
    place(target, wanted, share);
    place(pointer, value, share);
  }
  return { node, update };
}

function limitMark(limit, share) {
  const x = 100 * share(limit.value);
  const shaded = limit.kind === "high" ? { x: `${x}%`, width: `${100 - x}%` } : { x: "0%", width: `${x}%` };
  return {
    beyond: svg("rect", { class: "limit", ...shaded, y: 11, height: 7 }),
    edge: svg("line", { class: "limit", x1: `${x}%`, x2: `${x}%`, y1: 8, y2: 21 }),
  };
}

function place(marker, value, share) {
  const exists = typeof value === "number" && Number.isFinite(value);
  setAttribute(marker, "visibility", exists ? null : "hidden");
  if (exists) setAttribute(marker, "x", `${(100 * share(value)).toFixed(2)}%`);
}

/** Limits in words: "ceiling 362 K, H 361 K, HH 365 K". */
export const limitWords = (limits, unit) =>
  limits.map(({ name, value }) => `${name} ${short(value)} ${unit}`.trim()).join(", ");

/** What `bar` wants to know of a CV. */
export const barOf = (cv) => ({
  from: cv.low,
  to: cv.high,
  value: cv.pv,
  wanted: cv.sp,
  low: cv.sp_low,
  high: cv.sp_high,
  limits: limitsOf(cv),
});

/** The limits of a CV: those of its alarms, and the ceiling that the controller keeps below. */
export function limitsOf(cv) {
  const ceiling = Number.isFinite(cv.safe_high)
    ? [{ name: "ceiling", kind: "high", value: cv.safe_high, ceiling: true }]
    : [];
  return [...ceiling, ...(cv.limits ?? [])];
}

/** Scale and limits of a CV in words. */
export function rangeWords(cv) {
  const scale = `${short(cv.low)} to ${short(cv.high)} ${cv.unit}`;
  const words = limitWords(limitsOf(cv), cv.unit);
  return words ? `${scale}; ${words}` : scale;
}

/** Why a value is not to be relied on, "" if it is. */
export function trouble({ stale, quality, age_s: age }) {
  if (stale) return Number.isFinite(age) ? `stale, ${span(age)} old` : "no value";
  return quality && quality !== "good" ? quality : "";
}

/** The alarm that stands on a value, beside it; nothing where none does: {node, update(alarm)}. */
export function alarmBeside() {
  const node = el("span", { class: "value-alarm" });
  const update = (alarm) => {
    const key = alarm ? `${alarm.name} ${alarm.priority} ${alarm.state}` : "";
    if (node.dataset.alarm === key) return;
    node.dataset.alarm = key;
    const words = () => [
      alarmMark(alarm.priority, alarm.state),
      alarm.name,
      el("span", { class: "unseen" }, `, ${alarm.priority}, ${alarm.state}`),
    ];
    node.replaceChildren(...(alarm ? words() : []));
  };
  return { node, update };
}
