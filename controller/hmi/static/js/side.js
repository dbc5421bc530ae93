// The right side of the unit page: mode and why, controls, hand-shake, certificate, scan, model, alarms.
import { path } from "./api.js";
import { Controls } from "./controls.js";
import { el, setAttribute, setText } from "./dom.js";
import { alarmsMark, lamp, modeBox } from "./marks.js";
import { facts, panel } from "./tables.js";
import { fixed, milliseconds, short, span } from "./words.js";

export class Side {
  constructor(unit) {
    this.controls = new Controls(unit);
    const columns = [
      [new State(), this.controls, new Scan(unit)],
      [new Alarms(), new Handshake(), new Certificate(), new Model(unit)],
    ];
    this.parts = columns.flat();
    this.columns = columns.map((parts) => el("div", { class: "side-column" }, ...parts.map((part) => part.node)));
  }

  update(view) {
    for (const part of this.parts) {
      part.update(view);
      const old = (part.by === "controller" && view.mode_stale) || (part.by === "plant" && !view.connected);
      setAttribute(part.node, "data-stale", old ? "yes" : null);
    }
  }

  /** Let go of it for good. */
  end() {
    this.controls.end();
  }
}

/** A list of facts whose values change. */
class Figures {
  constructor(names) {
    this.values = new Map(names.map((name) => [name, el("span")]));
    this.node = facts([...this.values]);
  }

  set(name, text) {
    setText(this.values.get(name), text);
  }
}

class State {
  constructor() {
    this.mode = modeBox();
    this.why = el("p", { class: "reason" });
    this.link = el("p", { class: "problem" });
    this.figures = new Figures(["selected", "in control", "controller"]);
    this.source = el("p", { class: "why" });
    this.node = panel(
      "Mode",
      el("p", { class: "mode-line" }, this.mode.node),
      this.why,
      this.link,
      this.figures.node,
      this.source,
    );
  }

  update(view) {
    this.mode.update(view.mode, view.mode_stale);
    setText(this.why, view.mode_text ?? "");
    setText(this.link, view.connected ? "" : view.link_text || "no connection to the plant");
    setText(this.source, view.journal_text ?? "");
    const selected = view.actions?.selected;
    this.figures.set("selected", selected ? selected + (view.connected ? "" : ", stale") : "-");
    const active = view.handshake?.find((part) => part.name === "active")?.on;
    this.figures.set("in control", active === true ? "trimtab" : active === false ? "DCS PI" : "unknown");
    const age = view.scan?.age_s > 5 ? `, last scan ${span(view.scan.age_s)} ago` : "";
    this.figures.set("controller", `${view.controller ?? "unknown"}${age}`);
  }
}

class Handshake {
  constructor() {
    this.by = "plant"; // whose word is shown: without it the panel is hatched
    this.list = el("ul", { class: "lamps" });
    this.lamps = new Map();
    this.lease = el("p", { class: "why" });
    this.node = panel("Hand-shake", this.list, this.lease);
  }

  update({ handshake = [], lease }) {
    const names = handshake.map((part) => part.name).join();
    if (names !== this.names) {
      this.names = names;
      this.lamps = new Map(handshake.map((part) => [part.name, lamp(part.label ?? part.name)]));
      this.list.replaceChildren(...[...this.lamps.values()].map((one) => one.node));
    }
    for (const part of handshake) this.lamps.get(part.name).update(part.on, part.text ?? "");
    setText(this.lease, lease?.text ? `Lease: ${lease.text}` : "");
  }
}

class Certificate {
  constructor() {
    this.by = "controller";
    this.word = el("p", { class: "verdict" });
    this.text = el("p", { class: "why" });
    this.figures = new Figures(["gap", "tolerance", "iterations", "time to no return"]);
    this.node = panel("Certificate", this.word, this.figures.node, this.text);
  }

  update({ certificate, time_to_no_return_s: left, no_return_text: beyond }) {
    const { certified, gap, tolerance, iterations, text } = certificate ?? {};
    setText(this.word, certified === true ? "certified" : certified === false ? "not certified" : "none");
    setAttribute(this.word, "data-good", certified === true ? "yes" : "no");
    this.figures.set("gap", short(gap));
    this.figures.set("tolerance", short(tolerance));
    this.figures.set("iterations", iterations ?? "-");
    this.figures.set("time to no return", beyond || span(left));
    setText(this.text, text ?? "");
  }
}

class Scan {
  constructor(unit) {
    this.by = "controller";
    this.unit = unit;
    this.meter = el("meter", { min: 0, "aria-label": "scan time against the deadline" });
    this.words = el("p", { class: "scan-words" });
    this.figures = new Figures(["last scan", "period", "began late by", "skipped before"]);
    this.record = el("a", {});
    this.node = panel("Scan", this.words, this.meter, this.figures.node, this.record);
  }

  update({ scan }) {
    const { duration_s: took, deadline_s: deadline, age_s: age, late } = scan ?? {};
    setText(this.words, `${milliseconds(took)} of ${milliseconds(deadline)}${late ? ", late" : ""}`);
    this.meter.max = deadline ?? 1;
    this.meter.value = Math.min(took ?? 0, deadline ?? 1);
    setAttribute(this.meter, "data-late", late ? "yes" : null);
    this.figures.set("last scan", age === null || age === undefined ? "-" : `${span(age)} ago`);
    this.figures.set("period", span(scan?.period_s));
    this.figures.set("began late by", milliseconds(scan?.lateness_s));
    const { run, id } = scan ?? {};
    const known = Number.isInteger(run) && Number.isInteger(id);
    setText(this.record, known ? `Record of scan ${id}` : "");
    setAttribute(this.record, "href", known ? path("units", this.unit, "runs", run, "scans", id) : null);
    this.figures.set("skipped before", scan?.skipped ?? "-");
  }
}

class Model {
  constructor(unit) {
    this.by = "controller";
    this.figures = new Figures(["bundle", "novelty", "outside bands"]);
    this.more = el("a", { href: `/units/${encodeURIComponent(unit)}/model` }, "Model page");
    this.node = panel("Model", this.figures.node, this.more);
  }

  update({ model }) {
    this.figures.set("bundle", [model?.name, model?.version].filter(Boolean).join(" ") || "-");
    this.figures.set("novelty", noveltyWords(model?.novelty));
    const share = model?.outside_bands;
    this.figures.set("outside bands", Number.isFinite(share) ? `${fixed(100 * share, 0)} % of predictions` : "-");
  }
}

/** Novelty above 1: unlike the training data. */
export const noveltyWords = (novelty) =>
  Number.isFinite(novelty) ? `${fixed(novelty, 2)}${novelty > 1 ? ", unlike the data" : ", like the data"}` : "-";

class Alarms {
  constructor() {
    this.by = "plant";
    this.words = el("a", { href: "/alarms", class: "alarm-words" });
    this.node = panel("Alarms", this.words);
  }

  update({ alarms }) {
    const { active = 0, unacknowledged = 0, highest = null } = alarms ?? {};
    const text = active || unacknowledged ? `${active} active, ${unacknowledged} unacknowledged` : "none";
    if (this.shown === `${text}${highest}`) return;
    this.shown = `${text}${highest}`;
    const mark = text === "none" ? [] : [alarmsMark({ active, unacknowledged, highest })];
    this.words.replaceChildren(...mark, text);
  }
}
