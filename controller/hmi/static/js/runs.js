// The runs in the journal, the newest first.
import { ApiError, get, path } from "./api.js";
import { byId, el } from "./dom.js";
import { start, unitName } from "./shell.js";
import { table } from "./tables.js";
import { stamp } from "./words.js";

const COLUMNS = [
  { title: "Run", class: "number" },
  { title: "Started" },
  { title: "Ended" },
  { title: "Scans", class: "number" },
  { title: "in AUTO", class: "number" },
  { title: "How it ended", class: "wide-text" },
];

async function load() {
  try {
    const { runs } = await get(path("api", "units", unitName, "runs"));
    const rows = runs.map((run) => [
      el("a", { href: `${path("units", unitName, "runs", run.id)}` }, String(run.id)),
      stamp(run.started),
      run.ended ? stamp(run.ended) : "runs, or no end recorded",
      String(run.scans ?? "-"),
      String(run.auto_scans ?? "-"),
      run.reason ?? "",
    ]);
    byId("runs").replaceChildren(table(`Runs of ${unitName}`, COLUMNS, rows, { empty: "The journal has no run." }));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    byId("runs").replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

start({ onBack: load });
load();
