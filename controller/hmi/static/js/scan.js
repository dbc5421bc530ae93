// One scan as the journal keeps it.
import { ApiError, get, path } from "./api.js";
import { byId, el } from "./dom.js";
import { start, unitName } from "./shell.js";
import { facts, panel, table } from "./tables.js";
import { fixed, milliseconds, noReturn, short, stamp } from "./words.js";

const { run, scan } = document.body.dataset;
const here = (number) => path("units", unitName, "runs", run, "scans", number);

async function load() {
  try {
    const unit = await get(path("api", "units", unitName));
    const record = await get(`/api${here(scan)}`);
    byId("scan").replaceChildren(...panels(unit, record));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    byId("scan").replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

const panels = (unit, record) => [
  panel("Decision", decision(record)),
  panel("Process", processTable(unit.cvs, record)),
  panel("Moves", movesTable(unit.mvs, record)),
  panel("Findings", findings(record)),
  panel("Time", timeFacts(record), stagesTable(record.stage_s ?? {})),
  panel(
    "The whole record",
    el(
      "details",
      {},
      el("summary", {}, "as JSON"),
      el(
        "pre",
        { class: "record", tabindex: 0, role: "region", "aria-label": "record as JSON" },
        JSON.stringify(record, null, 1),
      ),
    ),
  ),
];

const yes = (value) => (value === true ? "yes" : value === false ? "no" : "-");

const decision = (record) =>
  facts([
    ["time", stamp(record.utc)],
    [
      "mode",
      record.mode_before === record.mode_after ? record.mode_after : `${record.mode_before}, then ${record.mode_after}`,
    ],
    ["reason", record.reason || "-"],
    ["selected", record.operator?.toUpperCase() ?? "-"],
    ["advice", [record.proposal, record.proposal_detail].filter(Boolean).join(", ").replaceAll("_", " ") || "-"],
    ["certified", yes(record.certified)],
    ["gap", short(record.gap)],
    ["tolerance", short(record.tolerance)],
    ["iterations", record.iterations ?? "-"],
    ["novelty", fixed(record.novelty, 2)],
    ["time to no return", noReturn(record.time_to_no_return_s)],
    ["written", yes(record.written)],
    ["outcome", [record.outcome, record.outcome_detail].filter(Boolean).join(", ").replaceAll("_", " ") || "-"],
  ]);

function processTable(cvs, { cv = [], sp = [] }) {
  const columns = [
    { title: "CV" },
    { title: "PV", class: "number" },
    { title: "SP", class: "number" },
    { title: "Error", class: "number" },
    { title: "Unit" },
  ];
  const error = (at) => (Number.isFinite(cv[at]) && Number.isFinite(sp[at]) ? cv[at] - sp[at] : null);
  return table(
    "Process",
    columns,
    cvs.map(({ tag, unit, digits = 1 }, at) => [
      tag,
      fixed(cv[at], digits),
      fixed(sp[at], digits),
      fixed(error(at), digits),
      unit,
    ]),
  );
}

function movesTable(mvs, record) {
  const kinds = [
    ["Actual", "mv"],
    ["Low", "low"],
    ["Policy", "policy_move"],
    ["Corrected", "move"],
    ["Applied", "target"],
    ["High", "high"],
  ];
  const columns = [{ title: "MV" }, ...kinds.map(([title]) => ({ title, class: "number" })), { title: "Unit" }];
  const cell = (key, at, digits) => (key === "target" && !record.written ? "-" : fixed(record[key]?.[at], digits));
  return table(
    "Moves",
    columns,
    mvs.map(({ tag, unit, digits = 2 }, at) => [tag, ...kinds.map(([, key]) => cell(key, at, digits)), unit]),
  );
}

const timeFacts = (record) =>
  facts([
    [
      "took",
      `${milliseconds(record.duration_s)} of ${milliseconds(record.deadline_s)}${record.overrun ? ", late" : ""}`,
    ],
    ["began late by", milliseconds(record.lateness_s)],
    ["skipped before", record.skipped ?? "-"],
  ]);

const stagesTable = (stages) =>
  table(
    "Stages",
    [{ title: "Stage" }, { title: "Took", class: "number" }],
    Object.entries(stages).map(([stage, seconds]) => [stage, milliseconds(seconds)]),
  );

function findings({ conditions, faults, failures, guard, shed_reason: shed }) {
  const rows = [
    ...(conditions ?? []).map((condition) => ["condition", String(condition).replaceAll("_", " ")]),
    ...(faults ?? []).map((fault) => ["fault", fault.filter(Boolean).join(", ")]),
    ...(failures ?? []).map((failure) => ["write refused", failure.filter(Boolean).join(", ")]),
    ...(guard ? [["guard", guard.filter(Boolean).join(", ")]] : []),
    ...(shed ? [["shed in the DCS", shed]] : []),
  ];
  return table("Findings", [{ title: "Kind" }, { title: "What", class: "wide-text" }], rows, {
    empty: "Nothing was the matter.",
  });
}

const number = Number(scan);
byId("neighbours").append(
  el("a", { class: "button", href: path("units", unitName, "runs", run) }, "All scans"),
  ...(number > 0 ? [el("a", { class: "button", href: here(number - 1) }, "Previous")] : []),
  el("a", { class: "button", href: here(number + 1) }, "Next"),
);

start({ onBack: load });
load();
