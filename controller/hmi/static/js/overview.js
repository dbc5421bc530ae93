// The overview: one card a unit, always in the same place.
import { el, byId, setAttribute, setText } from "./dom.js";
import { alarmBeside, alarmsMark, bar, barOf, modeBox, rangeWords, trouble } from "./marks.js";
import { announceMode, start } from "./shell.js";
import { fixed, milliseconds, span, spaced } from "./words.js";

const cards = new Map();

class Card {
  constructor(summary) {
    this.shape = shapeOf(summary);
    const home = `/units/${encodeURIComponent(summary.unit)}`;
    this.mode = modeBox();
    this.alarms = el("span", { class: "card-alarms" });
    this.why = el("p", { class: "why" });
    this.link = el("p", { class: "problem" });
    this.cvs = summary.cvs.map((cv) => controlled(cv));
    this.mvs = summary.mvs.map((mv) => manipulated(mv));
    this.foot = el("p", { class: "foot" });
    const title = el("h2", {}, el("a", { href: home }, summary.title || summary.unit));
    this.node = el(
      "article",
      { class: "panel card", "data-unit": summary.unit },
      el("div", { class: "card-head" }, title, this.alarms, this.mode.node),
      this.why,
      this.link,
      ...this.cvs.map((cv) => cv.node),
      el("dl", { class: "moves" }, ...this.mvs.flatMap((mv) => mv.nodes)),
      this.foot,
    );
  }

  update(summary) {
    this.mode.update(summary.mode, summary.mode_stale);
    setText(this.why, summary.mode_text ?? "");
    setText(this.link, summary.connected ? "" : summary.link_text || "no connection to the plant");
    setAttribute(this.node, "data-connected", summary.connected ? "yes" : "no");
    summary.cvs.forEach((cv, index) => this.cvs[index].update(cv));
    summary.mvs.forEach((mv, index) => this.mvs[index].update(mv));
    this.showAlarms(summary.alarms);
    setAttribute(this.alarms, "data-stale", summary.connected ? null : "yes");
    setText(this.foot, footer(summary));
  }

  showAlarms({ active, unacknowledged, highest }) {
    const text = alarmWords({ active, unacknowledged });
    if (this.alarms.dataset.text === `${text} ${highest}`) return;
    this.alarms.dataset.text = `${text} ${highest}`;
    this.alarms.replaceChildren(...(text ? [alarmsMark({ active, unacknowledged, highest }), text] : []));
  }
}

const alarmWords = ({ active, unacknowledged }) =>
  [active ? `${active} active` : "", unacknowledged ? `${unacknowledged} unacknowledged` : ""]
    .filter(Boolean)
    .join(", ");

const shapeOf = (summary) =>
  JSON.stringify([summary.title, summary.cvs.map((cv) => cv.tag), summary.mvs.map((mv) => mv.tag)]);

function controlled(cv) {
  const scale = bar();
  const value = el("span", { class: "value" });
  const wanted = el("span", { class: "sp-value" });
  const limits = el("span", { class: "limits" });
  const note = el("span", { class: "stale-note" });
  const alarm = alarmBeside();
  const node = el(
    "div",
    { class: "cv", "data-tag": cv.tag },
    el("h3", {}, cv.title || spaced(cv.tag)),
    el("p", { class: "figures" }, value, " ", el("span", { class: "unit-of" }, cv.unit), wanted, alarm.node, note),
    scale.node,
    limits,
  );
  const update = (now) => {
    setText(value, fixed(now.pv, now.digits));
    setText(wanted, `SP ${fixed(now.sp, now.digits)}`);
    setText(limits, rangeWords(now));
    setText(note, trouble(now));
    setAttribute(node, "data-stale", now.stale ? "yes" : null);
    setAttribute(node, "data-quality", now.quality ?? "none");
    alarm.update(now.alarm);
    scale.update(barOf(now));
  };
  return { node, update };
}

function manipulated(mv) {
  const value = el("span", { class: "value" });
  const mode = el("span", { class: "loop-mode" });
  const note = el("span", { class: "stale-note" });
  const figure = el("dd", { "data-tag": mv.tag }, value, ` ${mv.unit} `, mode, note);
  const update = (now) => {
    setText(value, fixed(now.actual, now.digits ?? 2));
    setText(mode, now.mode ?? "");
    setText(note, trouble(now));
    setAttribute(figure, "data-stale", now.stale ? "yes" : null);
  };
  return { nodes: [el("dt", {}, mv.title || spaced(mv.tag)), figure], update };
}

function footer({ scan, controller }) {
  if (controller !== "running") return `controller ${controller ?? "unknown"}`;
  const age = scan?.age_s > 5 ? `, ${span(scan.age_s)} ago` : "";
  return `scan ${milliseconds(scan?.duration_s)} of ${milliseconds(scan?.deadline_s)}${scan?.late ? ", late" : ""}${age}`;
}

function showUnits(units) {
  for (const summary of units) {
    let card = cards.get(summary.unit);
    if (card?.shape !== shapeOf(summary)) {
      const fresh = new Card(summary);
      if (card) card.node.replaceWith(fresh.node);
      else byId("units").append(fresh.node);
      cards.set(summary.unit, (card = fresh));
    }
    card.update(summary);
    announceMode(summary);
  }
  const told = new Set(units.map((summary) => summary.unit));
  for (const [name, card] of cards) {
    if (told.has(name)) continue;
    card.node.remove(); // no longer configured: nothing of it is of now
    cards.delete(name);
  }
  setText(byId("totals"), totals(units));
}

function totals(units) {
  const modes = new Map();
  for (const { mode } of units) modes.set(mode ?? "unknown", (modes.get(mode ?? "unknown") ?? 0) + 1);
  const lost = units.filter((unit) => !unit.connected).length;
  const parts = [...modes].map(([mode, count]) => `${count} ${mode}`);
  return `${units.length} ${units.length === 1 ? "unit" : "units"}: ${parts.join(", ")}${lost ? `, ${lost} without connection` : ""}`;
}

start({ units: showUnits });
