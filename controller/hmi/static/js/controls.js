// Mode, setpoints and the acknowledgement of a shed; off, with the reason, where they cannot be used.
import { confirmAction } from "./confirm.js";
import { el, setAttribute, setText } from "./dom.js";
import { onSession, whyNot } from "./shell.js";
import { panel } from "./tables.js";
import { fixed, short, spaced } from "./words.js";

export class Controls {
  constructor(unit) {
    this.unit = unit;
    this.why = el("p", { class: "why", id: "controls-why" });
    this.modes = el("div", { class: "modes", role: "group", "aria-label": "Select mode" });
    this.setpoints = el("div", { class: "setpoints" });
    this.shed = el("button", { type: "button", onclick: () => this.acknowledgeShed() }, "Acknowledge shed");
    this.shedWords = el("p", { class: "reason" });
    this.node = panel("Controls", this.why, this.modes, this.setpoints, this.shedWords, this.shed);
    this.inputs = [];
    this.view = null;
    this.end = onSession(() => this.enable());
  }

  update(view) {
    this.view = view;
    const { mode = [], setpoints = [] } = view.actions ?? {};
    const shape = JSON.stringify([mode, setpoints.map(({ tag, unit }) => [tag, unit])]);
    if (shape !== this.shape) this.build(mode, setpoints, shape);
    for (const button of this.modes.children)
      setAttribute(
        button,
        "aria-pressed",
        view.connected && button.value === view.actions?.selected ? "true" : "false",
      );
    for (const one of this.inputs) one.update(view);
    const shed = view.handshake?.find((part) => part.name === "shed");
    setText(this.shedWords, shed?.on ? `Shed: ${shed.text}` : "");
    this.shed.hidden = view.actions?.acknowledge_shed !== true || (shed !== undefined && shed.on !== true);
    this.enable();
  }

  build(modes, setpoints, shape) {
    this.shape = shape;
    this.modes.replaceChildren(
      ...modes.map((mode) => el("button", { type: "button", value: mode, onclick: () => this.select(mode) }, mode)),
    );
    this.inputs = setpoints.map((setpoint) => new Setpoint(this.unit, setpoint));
    this.setpoints.replaceChildren(...this.inputs.map((input) => input.node));
  }

  enable() {
    const whole = this.view?.connected === false ? "No connection to the plant." : "";
    const reasons = new Set();
    const groups = [
      [this.modes, "mode"],
      [this.setpoints, "setpoint"],
      [this.shed, "acknowledge_shed"],
    ];
    for (const [box, action] of groups) {
      const reason = whyNot() || whole || whyNot(this.unit, action);
      const controls = box.matches("button") ? [box] : box.querySelectorAll("button, input");
      if (reason && controls.length && !box.hidden) reasons.add(reason);
      for (const control of controls) {
        control.disabled = reason !== "";
        setAttribute(control, "aria-describedby", reason ? "controls-why" : null);
      }
    }
    setText(this.why, [...reasons].join(" "));
  }

  select(mode) {
    return confirmAction(this.unit, { action: "mode", value: mode }, { title: `Select ${mode}` });
  }

  acknowledgeShed() {
    return confirmAction(this.unit, { action: "acknowledge_shed" }, { title: "Acknowledge the shed" });
  }
}

class Setpoint {
  constructor(unit, { tag, unit: engineering }) {
    Object.assign(this, { unit, tag });
    const id = `setpoint-${tag}`;
    this.input = el("input", {
      id,
      type: "number",
      step: "any",
      required: true,
      autocomplete: "off",
      inputmode: "decimal",
    });
    this.range = el("span", { class: "limits" });
    this.node = el(
      "form",
      { class: "setpoint", onsubmit: (event) => this.submit(event) },
      el("label", { for: id }, `${spaced(tag)} SP`),
      this.input,
      el("span", { class: "unit-of" }, engineering),
      el("button", {}, "Set"),
      this.range,
    );
  }

  update({ actions, cvs }) {
    const { low, high, unit } = actions.setpoints.find((one) => one.tag === this.tag);
    const cv = cvs.find((one) => one.tag === this.tag);
    const digits = cv?.digits ?? 1;
    setAttribute(this.input, "min", low);
    setAttribute(this.input, "max", high);
    setAttribute(this.input, "placeholder", cv ? fixed(cv.sp, digits) : null);
    setText(this.range, `${short(low)} to ${short(high)} ${unit}`);
  }

  async submit(event) {
    event.preventDefault();
    const value = this.input.valueAsNumber;
    const action = { action: "setpoint", tag: this.tag, value };
    if (await confirmAction(this.unit, action, { title: `Set ${spaced(this.tag)}` })) this.input.value = "";
  }
}
