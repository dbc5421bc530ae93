// The journal of one run: a row a scan, the newest first.
import { ApiError, get, path } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { start, unitName } from "./shell.js";
import { table } from "./tables.js";
import { NONE, clock, fixed, milliseconds, short } from "./words.js";

const LIMIT = 50;
const { run } = document.body.dataset;
let next = null;

async function load(before = null) {
  const query = new URLSearchParams({ limit: LIMIT, ...(before === null ? {} : { before }) });
  try {
    const found = await get(`${path("api", "units", unitName, "runs", run, "scans")}?${query}`);
    next = found.next ?? null;
    byId("older").disabled = next === null;
    byId("scans").replaceChildren(rowsTable(found.scans));
    const [first, last] = [found.scans[0], found.scans.at(-1)];
    setText(byId("state"), first ? `Scans ${first.scan} to ${last.scan}.` : "No scan.");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId("state"), error.message);
  }
}

function rowsTable(scans) {
  const cvs = Object.keys(scans[0]?.cvs ?? {});
  const mvs = Object.keys(scans[0]?.mvs ?? {});
  const columns = [
    { title: "Scan", class: "number" },
    { title: "Time" },
    { title: "Mode" },
    ...cvs.map((tag) => ({ title: `${tag} PV / SP`, class: "number" })),
    ...mvs.map((tag) => ({ title: `${tag} applied`, class: "number" })),
    { title: "Gap", class: "number" },
    { title: "Took", class: "number" },
    { title: "Reason", class: "wide-text" },
  ];
  const rows = scans.map((scan) => [
    el("a", { href: path("units", unitName, "runs", run, "scans", scan.scan) }, String(scan.scan)),
    clock(scan.time),
    scan.mode ?? NONE,
    ...cvs.map((tag) => `${fixed(scan.cvs[tag]?.pv, 1)} / ${fixed(scan.cvs[tag]?.sp, 1)}`),
    ...mvs.map((tag) => fixed(scan.mvs[tag]?.applied, 2)),
    scan.certified === false ? `${short(scan.gap)}, not certified` : short(scan.gap),
    milliseconds(scan.duration_s) + (scan.overrun ? ", late" : ""),
    scan.reason ?? "",
  ]);
  return table(`Scans of run ${run}`, columns, rows, { empty: "The run has no scan." });
}

byId("older").addEventListener("click", () => next !== null && load(next));
byId("newest").addEventListener("click", () => load());
byId("goto").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(path("units", unitName, "runs", run, "scans", byId("goto-scan").value));
});

start({ onBack: () => load() });
load();
