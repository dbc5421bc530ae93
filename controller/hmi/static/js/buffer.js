// The values behind the trends: what the server remembers, and what has come since.

/** Columns on one time axis; `names` as in the server's trend: "pv/Temperature", "policy/InitiatorFeed", ... */
export class Buffer {
  constructor() {
    this.times = [];
    this.columns = new Map();
  }

  /** Replace everything by an answer of the server. */
  load({ time, series }) {
    this.times = [...time];
    this.columns = new Map(Object.entries(series).map(([name, values]) => [name, [...values]]));
  }

  /** Add one instant; what it does not name has no value there. */
  add(time, values) {
    const last = this.times.at(-1);
    if (last !== undefined && time <= last) return;
    this.times.push(time);
    for (const name of Object.keys(values)) {
      if (!this.columns.has(name)) this.columns.set(name, new Array(this.times.length - 1).fill(null));
    }
    for (const [name, column] of this.columns) column.push(values[name] ?? null);
  }

  /** Forget what is older. */
  trim(oldest) {
    const first = this.times.findIndex((time) => time >= oldest);
    if (first <= 0) return;
    this.times.splice(0, first);
    for (const column of this.columns.values()) column.splice(0, first);
  }

  column(name) {
    return this.columns.get(name) ?? new Array(this.times.length).fill(null);
  }

  get size() {
    return this.times.length;
  }
}

/** The instant of a view, by the names of the trend. */
export function instant(view) {
  const values = {};
  for (const cv of view.cvs) {
    values[`pv/${cv.tag}`] = cv.stale ? null : cv.pv;
    values[`sp/${cv.tag}`] = cv.stale || !view.connected ? null : cv.sp;
  }
  for (const mv of view.mvs) values[`actual/${mv.tag}`] = mv.stale ? null : mv.actual;
  if (view.mode_stale) return values; // what a silent controller said last is not of now
  for (const move of view.moves ?? []) {
    values[`policy/${move.tag}`] = move.policy;
    values[`corrected/${move.tag}`] = move.corrected;
    values[`applied/${move.tag}`] = move.applied;
  }
  values.scan_s = view.scan?.duration_s;
  return values;
}
