// Shortcuts, and the dialog that lists them. Single keys can be switched off (WCAG 2.1.4).
import { byId, el, remember, remembered } from "./dom.js";

const enabled = () => remembered("keys", "on") === "on";

/** Listen; `unit` is that of the page, null where it has none. */
export function startKeyboard(unit) {
  const base = unit === null ? null : `/units/${encodeURIComponent(unit)}`;
  const go = (address) => () => location.assign(address);
  const keys = [
    ["?", "this list", () => showHelp(keys)],
    ["o", "overview", go("/")],
    ["a", "alarms", go("/alarms")],
    ...(base === null
      ? []
      : [
          ["u", "unit page", go(base)],
          ["m", "model", go(`${base}/model`)],
          ["h", "history", go(`${base}/history`)],
          ["r", "runs", go(`${base}/runs`)],
          ["n", "next unit", () => step(1)],
          ["p", "previous unit", () => step(-1)],
        ]),
    ["d", "dark room on or off", () => byId("theme").click()],
    ["l", "log in", go(`/login?next=${encodeURIComponent(location.pathname)}`)],
  ];
  const actions = new Map(keys.map(([key, , act]) => [key, act]));
  byId("help").addEventListener("click", () => showHelp(keys));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !enabled()) return;
    const dialog = event.target.closest("dialog"); // one that closes may keep the focus for a moment
    if (dialog === null ? event.target.closest("input, select, textarea") : dialog.open) return;
    const act = actions.get(event.key);
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
}

function step(by) {
  const choice = byId("unit-choice");
  if (choice === null || choice.options.length < 2) return;
  const count = choice.options.length;
  choice.selectedIndex = (choice.selectedIndex + by + count) % count;
  choice.dispatchEvent(new Event("change"));
}

function showHelp(keys) {
  const rows = keys.map(([key, words]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, words)]);
  const charts = [
    el("dt", {}, el("kbd", {}, "←"), " ", el("kbd", {}, "→")),
    el("dd", {}, "read a trend that has the focus"),
  ];
  const tick = el("input", { type: "checkbox" });
  tick.checked = enabled();
  tick.addEventListener("change", () => remember("keys", tick.checked ? "on" : "off"));
  const dialog = el(
    "dialog",
    { "aria-labelledby": "help-title" },
    el("h2", { id: "help-title" }, "Keyboard"),
    el("dl", { class: "keys" }, ...rows, ...charts),
    el("label", {}, tick, " single keys are shortcuts"),
    el("form", { method: "dialog", class: "buttons" }, el("button", { class: "strong" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
