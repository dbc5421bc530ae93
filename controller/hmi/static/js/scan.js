// One scan as the journal keeps it.
import { ApiError, get, path } from "./api.js";
import { byId, el } from "./dom.js";
import { start, unitName } from "./shell.js";
import { facts, panel, table } from "./tables.js";
import { fixed, milliseconds, short, stamp } from "./words.js";

const { run, scan } = document.body.dataset;
const here = (number) => path("units", unitName, "runs", run, "scans", number);

async function load() {
  try {
    const found = await get(path("api", "units", unitName, "runs", run, "scans", scan));
    byId("scan").replaceChildren(...panels(found.row, found.units ?? {}, found.document ?? {}));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    byId("scan").replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

function panels(row, units, record) {
  return [
    panel("Decision", decision(row, record)),
    panel("Process", processTable(row, units)),
    panel("Moves", movesTable(row, units)),
    panel("Time", timeFacts(row), stagesTable(record.stage_s ?? {})),
    panel("Findings", findings(record)),
    panel("The whole record", el("details", {}, el("summary", {}, "as JSON"), el("pre", { class: "record", tabindex: 0, role: "region", "aria-label": "record as JSON" }, JSON.stringify(record, null, 1)))),
  ];
}

const yes = (value) => (value === true ? "yes" : value === false ? "no" : "-");

const decision = (row, record) =>
  facts([
    ["time", stamp(row.time)],
    ["mode", record.mode_before && record.mode_before !== row.mode ? `${record.mode_before}, then ${row.mode}` : (row.mode ?? "-")],
    ["reason", row.reason || "-"],
    ["certified", yes(row.certified)],
    ["gap", short(row.gap)],
    ["tolerance", short(row.tolerance)],
    ["iterations", row.iterations ?? "-"],
    ["written", yes(row.written)],
    ["outcome", [row.outcome, record.outcome_detail].filter(Boolean).join(", ") || "-"],
  ]);

function processTable(row, units) {
  const columns = [{ title: "CV" }, { title: "PV", class: "number" }, { title: "SP", class: "number" }, { title: "Error", class: "number" }, { title: "Unit" }];
  const rows = Object.entries(row.cvs ?? {}).map(([tag, { pv, sp }]) => [tag, fixed(pv, 2), fixed(sp, 2), fixed(Number.isFinite(pv) && Number.isFinite(sp) ? pv - sp : null, 2), units[tag] ?? ""]);
  return table("Process", columns, rows);
}

function movesTable(row, units) {
  const columns = [{ title: "MV" }, { title: "Policy", class: "number" }, { title: "Corrected", class: "number" }, { title: "Applied", class: "number" }, { title: "Unit" }];
  const rows = Object.entries(row.mvs ?? {}).map(([tag, move]) => [tag, fixed(move.policy, 3), fixed(move.corrected, 3), fixed(move.applied, 3), units[tag] ?? ""]);
  return table("Moves", columns, rows);
}

const timeFacts = (row) =>
  facts([
    ["took", `${milliseconds(row.duration_s)} of ${milliseconds(row.deadline_s)}${row.overrun ? ", late" : ""}`],
    ["began late by", milliseconds(row.lateness_s)],
    ["skipped before", row.skipped ?? "-"],
  ]);

const stagesTable = (stages) => table("Stages", [{ title: "Stage" }, { title: "Took", class: "number" }], Object.entries(stages).map(([stage, seconds]) => [stage, milliseconds(seconds)]));

function findings({ conditions = [], faults = [], failures = [] }) {
  const rows = [
    ...conditions.map((condition) => ["condition", String(condition).replaceAll("_", " ")]),
    ...faults.map(([tag, kind, detail]) => ["fault", [tag, kind, detail].filter(Boolean).join(", ")]),
    ...failures.map(([tag, status]) => ["write refused", `${tag}, ${status}`]),
  ];
  return table("Findings", [{ title: "Kind" }, { title: "What", class: "wide-text" }], rows, { empty: "Nothing was the matter." });
}

const number = Number(scan);
byId("neighbours").append(
  el("a", { class: "button", href: path("units", unitName, "runs", run) }, "All scans"),
  ...(number > 0 ? [el("a", { class: "button", href: here(number - 1) }, "Previous")] : []),
  el("a", { class: "button", href: here(number + 1) }, "Next"),
);

start({ onBack: load });
load();
