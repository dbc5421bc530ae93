// The alarm list of all units (ISA-18.2).
import { confirmAction } from "./confirm.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { alarmMark } from "./marks.js";
import { onSession, start, whyNot } from "./shell.js";
import { table } from "./tables.js";
import { stamp } from "./words.js";

const RANK = { unacknowledged: 0, returned: 1, acknowledged: 2, shelved: 3, normal: 4 };
const WORDS = {
  shelved: "shelved",
  unacknowledged: "active, unacknowledged",
  acknowledged: "active, acknowledged",
  returned: "returned, unacknowledged",
  normal: "normal",
};
const PRIORITY = { high: 0, medium: 1, low: 2 };

const COLUMNS = [
  { title: "State", key: (alarm) => RANK[alarm.state] ?? 9 },
  { title: "Priority", key: (alarm) => PRIORITY[alarm.priority] ?? 9 },
  { title: "Unit", key: (alarm) => alarm.unit },
  { title: "Alarm", key: (alarm) => alarm.name },
  { title: "Message", key: (alarm) => alarm.message ?? "", class: "wide-text" },
  { title: "Source", key: (alarm) => alarm.source ?? "" },
  { title: "Time", key: (alarm) => alarm.time ?? "", class: "nowrap" },
  { title: "Comment", key: (alarm) => alarm.comment ?? "" },
  { title: "" },
];

let alarms = [];
let sorted = null; // null: the gravest first
let drawn = "";

const filters = ["state", "priority", "unit", "text"].map((name) => byId(`filter-${name}`));

function shown() {
  const [state, priority, unit, text] = filters.map((input) => input.value);
  const words = text.trim().toLowerCase();
  return alarms
    .filter((alarm) => !state || (state === "standing" ? alarm.state !== "normal" : alarm.state === state))
    .filter((alarm) => !priority || alarm.priority === priority)
    .filter((alarm) => !unit || alarm.unit === unit)
    .filter(
      (alarm) =>
        !words || [alarm.name, alarm.message, alarm.source, alarm.comment].join(" ").toLowerCase().includes(words),
    )
    .sort(order);
}

function order(a, b) {
  if (sorted !== null) {
    const key = COLUMNS[sorted.index].key;
    const [left, right] = [key(a), key(b)];
    if (left !== right) return (left < right ? -1 : 1) * (sorted.down ? -1 : 1);
  }
  const grave = (alarm) => [RANK[alarm.state] ?? 9, PRIORITY[alarm.priority] ?? 9];
  const [[s1, p1], [s2, p2]] = [grave(a), grave(b)];
  return s1 - s2 || p1 - p2 || String(b.time ?? "").localeCompare(String(a.time ?? ""));
}

function draw() {
  const rows = shown();
  const key = JSON.stringify([rows, sorted, rows.map((alarm) => whyNot(alarm.unit, "acknowledge"))]);
  if (key === drawn) return; // what has not changed keeps its focus
  drawn = key;
  const focused = document.activeElement?.dataset ?? {};
  const options = { empty: "No alarm.", onSort, sorted, rowAttributes: (at) => ({ "data-state": rows[at].state }) };
  byId("alarms").replaceChildren(table("Alarms", COLUMNS, rows.map(cells), options));
  const again = focused.alarm
    ? `[data-alarm="${CSS.escape(focused.alarm)}"]`
    : focused.column
      ? `[data-column="${focused.column}"]`
      : null;
  if (again) byId("alarms").querySelector(again)?.focus();
}

function cells(alarm) {
  return [
    el("span", { class: "alarm-state" }, alarmMark(alarm.priority, alarm.state), WORDS[alarm.state] ?? alarm.state),
    alarm.priority ?? "",
    el("a", { href: `/units/${encodeURIComponent(alarm.unit)}` }, alarm.unit),
    alarm.name,
    alarm.message ?? "",
    alarm.source ?? "",
    alarm.stale ? `${stamp(alarm.time)}, stale` : stamp(alarm.time),
    alarm.comment ?? "",
    acknowledgeButton(alarm),
  ];
}

function acknowledgeButton(alarm) {
  if (alarm.state !== "unacknowledged" && alarm.state !== "returned") return "";
  const reason = whyNot(alarm.unit, "acknowledge");
  const button = el(
    "button",
    {
      type: "button",
      "data-alarm": `${alarm.unit} ${alarm.id}`,
      "aria-label": `Acknowledge ${alarm.name} of ${alarm.unit}`,
    },
    "Acknowledge",
  );
  button.disabled = reason !== "";
  setAttribute(button, "title", reason);
  setAttribute(button, "aria-describedby", reason ? "why" : null);
  button.addEventListener("click", () => acknowledge(alarm));
  return button;
}

function acknowledge(alarm) {
  const comment = el("input", { id: "comment", maxlength: 200, autocomplete: "off" });
  const fields = el("fieldset", { class: "plain" }, el("label", { for: "comment" }, "Comment (may be empty)"), comment);
  const title = `Acknowledge ${alarm.name} of ${alarm.unit}`;
  const action = { action: "acknowledge", alarm: alarm.id };
  return confirmAction(alarm.unit, action, { title, fields, read: () => ({ comment: comment.value }) });
}

function onSort(index) {
  sorted = sorted?.index === index ? (sorted.down ? null : { index, down: true }) : { index, down: false };
  draw();
}

for (const input of filters) input.addEventListener("input", draw);
onSession(() => {
  setText(byId("why"), whyNot());
  draw();
});
start({
  alarms: (now) => {
    alarms = now;
    draw();
  },
});
