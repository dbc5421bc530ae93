// How lines look, in a trend and in its legend.
import { el, svg } from "./dom.js";

const styles = () => getComputedStyle(document.documentElement);
let colours = {};
let known = "";

/** A colour of hmi.css; canvases do not know the style sheet's variables. */
export function colour(name) {
  const theme = document.documentElement.dataset.theme;
  if (known !== theme) [colours, known] = [{}, theme];
  colours[name] ??= styles().getPropertyValue(`--${name}`).trim();
  return colours[name];
}

// How each kind of line looks: colour, dash, steps, width. Each has its own dash, so colour is not needed.
export const LOOKS = {
  pv: { colour: "line-pv", width: 2 },
  sp: { colour: "line-sp", width: 1.5, dash: [8, 4], step: true },
  policy: { colour: "line-policy", width: 1.5, dash: [2, 3], step: true },
  corrected: { colour: "line-corrected", width: 1.5, dash: [10, 3, 2, 3], step: true },
  applied: { colour: "line-applied", width: 2, step: true },
  actual: { colour: "line-actual", width: 1, step: true },
  figure: { colour: "line-pv", width: 1.5 },
  ceiling: { colour: "limit", width: 1 },
  alarm: { colour: "limit", width: 1, dash: [4, 3] },
  end: { colour: "ink-faint", width: 1, dash: [1, 3] },
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

/** The lines of a trend in words: swatch and label each. */
export const legend = (lines) =>
  el("ul", { class: "legend" }, ...lines.map(({ look, label }) => el("li", {}, swatch(look), label)));
