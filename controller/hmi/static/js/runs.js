// The runs in the journal, the newest first.
import { ApiError, get, path } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { start, unitName } from "./shell.js";
import { table } from "./tables.js";
import { stamp } from "./words.js";

const COLUMNS = [
  { title: "Run", class: "number" },
  { title: "Started" },
  { title: "Ended" },
  { title: "Scans", class: "number" },
  { title: "in AUTO", class: "number" },
  { title: "Overruns", class: "number" },
  { title: "How it ended", class: "wide-text" },
];

const FRESH_MS = 15_000;
const COUNTING_MS = 1500; // a long journal is counted in pieces
let timer = 0;
let shown = "";
const problem = el("p", { class: "problem" });
const list = el("div");
byId("runs").append(problem, list);

function again(pause) {
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? again(pause) : load()), pause);
}

async function load() {
  try {
    const { runs } = await get(path("api", "units", unitName, "runs"));
    const rows = runs.map((run) => [
      el("a", { href: `${path("units", unitName, "runs", run.id)}` }, String(run.id)),
      stamp(run.started),
      run.ended ? stamp(run.ended) : "no end recorded",
      String(run.scans ?? "-"),
      String(run.auto_scans ?? "counting"),
      String(run.overruns ?? "counting"),
      run.reason ?? "",
    ]);
    setText(problem, "");
    again(runs.some((run) => run.auto_scans === null) ? COUNTING_MS : FRESH_MS);
    const key = JSON.stringify(runs);
    if (key === shown) return; // what has not changed keeps its focus
    shown = key;
    const focused = document.activeElement?.getAttribute("href");
    const inside = list.contains(document.activeElement);
    list.replaceChildren(table(`Runs of ${unitName}`, COLUMNS, rows, { empty: "The journal has no run." }));
    if (inside && focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    again(Math.max(FRESH_MS, error.afterMs));
    setText(problem, error.message); // above the runs as they were
  }
}

start({ onBack: load });
load();
