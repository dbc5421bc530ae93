// The page of one unit: trends on the left, state and controls on the right.
import { get, path } from "./api.js";
import { Buffer, instant } from "./buffer.js";
import { byId, remember, remembered, setText } from "./dom.js";
import { Controlled, Manipulated } from "./loops.js";
import { modeBox } from "./marks.js";
import { Question } from "./question.js";
import { announceMode, start, unitName } from "./shell.js";
import { Side } from "./side.js";
import { seconds, serverNow } from "./words.js";

const MOST_POINTS = 6000;
const REDRAW_MS = 500;

const buffer = new Buffer();
const windowChoice = byId("window");
const fullChoice = byId("full");
const mode = modeBox();
let loops = [];
let side = null;
let shape = "";
let view = null;
let drawnAt = -REDRAW_MS;

windowChoice.value = [...windowChoice.options].some((option) => option.value === remembered("window", "600"))
  ? remembered("window", "600")
  : "600";
fullChoice.checked = remembered("full", "no") === "yes";
windowChoice.addEventListener("change", () => {
  remember("window", windowChoice.value);
  past.ask();
});
fullChoice.addEventListener("change", () => {
  remember("full", fullChoice.checked ? "yes" : "no");
  draw();
});

const shapeOf = ({ cvs, mvs }) => JSON.stringify([...cvs, ...mvs].map(({ tag, unit, title }) => [tag, unit, title]));

function show(now) {
  view = now;
  if (shape !== shapeOf(now)) build(now);
  for (const loop of loops) loop.update(now);
  side.update(now);
  mode.update(now.mode, now.mode_stale);
  announceMode(now);
  buffer.add(seconds(now.time) ?? serverNow(), instant(now));
  if (buffer.size > MOST_POINTS) past.repeat();
  if (performance.now() - drawnAt > REDRAW_MS) draw();
}

function build(now) {
  shape = shapeOf(now);
  for (const loop of loops) loop.trend.end();
  loops = [...now.cvs.map((cv) => new Controlled(cv)), ...now.mvs.map((mv) => new Manipulated(mv))];
  byId("trends").replaceChildren(...loops.map((loop) => loop.node));
  side?.end();
  side = new Side(unitName);
  byId("side").replaceChildren(...side.columns);
  setText(document.querySelector("h1"), now.title || now.unit);
}

function draw() {
  if (view === null) return;
  drawnAt = performance.now();
  const to = serverNow();
  const from = to - Number(windowChoice.value);
  buffer.trim(from);
  for (const loop of loops) loop.draw(buffer, { from, to, full: fullChoice.checked });
}

/** The trend from the server: at first, after a loss of the link, and for another window. What is live goes on without. */
const past = new Question({
  put: () => get(`${path("api", "units", unitName, "trend")}?seconds=${windowChoice.value}`),
  answered: (found) => {
    buffer.load(found);
    draw();
  },
});

byId("mode").append(mode.node);
start({ unit: show, onBack: () => past.ask() });
past.ask();
