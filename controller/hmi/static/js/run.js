// The journal of one run: a row a scan, the newest first, and what happened besides.
import { ApiError, get, path } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { start, unitName } from "./shell.js";
import { table } from "./tables.js";
import { NONE, clock, fixed, milliseconds, short, stamp } from "./words.js";

const LIMIT = matchMedia("(max-width: 640px)").matches ? 10 : 50; // on a phone a row is a card
const { run } = document.body.dataset;
let next = null;
let names = null; // {cvs: [{tag, digits}], mvs: [...]}: the places of a row

async function load(before = null) {
  const query = new URLSearchParams({ limit: LIMIT, ...(before === null ? {} : { before }) });
  try {
    names ??= await get(path("api", "units", unitName));
    const found = await get(`${path("api", "units", unitName, "runs", run, "scans")}?${query}`);
    next = found.next ?? null;
    byId("older").disabled = next === null;
    byId("scans").replaceChildren(rowsTable(found.scans));
    byId("events").replaceChildren(eventsTable(found.events ?? []));
    const [first, last] = [found.scans[0], found.scans.at(-1)];
    setText(
      byId("state"),
      first ? `Scans ${first.scan} to ${last.scan}, ${stamp(first.time).slice(0, 10)}.` : "No scan.",
    );
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId("state"), error.message);
  }
}

function rowsTable(scans) {
  const columns = [
    { title: "Scan", class: "number" },
    { title: "Time", class: "nowrap" },
    { title: "Mode" },
    ...names.cvs.map(({ tag, unit }) => ({ title: `${tag} PV / SP [${unit}]`, class: "number pair" })),
    ...names.mvs.map(({ tag, unit }) => ({ title: `${tag} applied [${unit}]`, class: "number" })),
    { title: "Gap", class: "number nowrap" },
    { title: "Took", class: "number nowrap" },
    { title: "Reason", class: "wide-text" },
  ];
  const rows = scans.map((scan) => [
    el("a", { href: path("units", unitName, "runs", run, "scans", scan.scan) }, String(scan.scan)),
    clock(scan.time),
    scan.mode ?? NONE,
    ...names.cvs.map(({ digits = 1 }, at) => `${fixed(scan.cv?.[at], digits)} / ${fixed(scan.sp?.[at], digits)}`),
    ...names.mvs.map(({ digits = 2 }, at) => fixed(scan.applied?.[at], digits)),
    scan.certified === false ? `${short(scan.gap)}, not certified` : short(scan.gap),
    milliseconds(scan.duration_s) + (scan.late ? ", late" : ""),
    scan.reason ?? "",
  ]);
  return table(`Scans of run ${run}`, columns, rows, { empty: "The run has no scan." });
}

function eventsTable(events) {
  const words = (detail) =>
    Object.entries(detail ?? {})
      .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
      .join(", ");
  const rows = events.toReversed().map(({ time, kind, detail }) => [stamp(time), kind, words(detail)]);
  return table(
    `Events of run ${run}`,
    [{ title: "Time", class: "nowrap" }, { title: "Event" }, { title: "What", class: "wide-text" }],
    rows,
    { empty: "No event." },
  );
}

byId("older").addEventListener("click", () => next !== null && load(next));
byId("newest").addEventListener("click", () => load());
byId("goto").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(path("units", unitName, "runs", run, "scans", byId("goto-scan").value));
});

start({ onBack: () => load() });
load();
