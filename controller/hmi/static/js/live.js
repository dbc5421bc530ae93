// The stream of live values: opened again when lost, closed while nobody looks at the page.
import { learnTime } from "./words.js";

const SILENCE_MS = 5000; // the server sends something every 2 s
const AGAIN_MS = [500, 1000, 2000, 3000];
const EVENTS = ["units", "unit", "alarms", "beat"];

/**
 * Follow the stream of one unit, or of all (null).
 * on: listeners {units, unit, alarms}; onLink: called with null when values come, first or again,
 * and with the Date of the last ones when they no longer do.  Silence is measured by a clock that
 * nobody sets; Date is for words.
 */
export function follow(unit, on, onLink) {
  const address = unit === null ? "/api/stream" : `/api/stream?unit=${encodeURIComponent(unit)}`;
  let source = null;
  let retry = 0;
  let tries = 0;
  let last = new Date();
  let heardAt = performance.now();
  let opened = heardAt;
  let lost = null; // null: nothing came yet

  function heard(name, event) {
    let value;
    try {
      value = JSON.parse(event.data);
    } catch {
      return; // cut off in the middle: the next one is whole
    }
    tries = 0;
    last = new Date();
    heardAt = performance.now();
    learnTime(value.time);
    if (lost !== false) {
      lost = false;
      onLink(null);
    }
    on[name]?.(value);
  }

  function open() {
    close();
    opened = performance.now();
    source = new EventSource(address);
    for (const name of EVENTS) source.addEventListener(name, (event) => heard(name, event));
    source.onerror = again;
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function again() {
    close();
    if (!lost) {
      lost = true;
      onLink(last);
    }
    retry = setTimeout(open, AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]);
    tries += 1;
  }

  /** Look again: what stood here while nobody looked is old until something new comes. */
  function resume() {
    if (lost === false && performance.now() - heardAt > SILENCE_MS) {
      lost = true;
      onLink(last);
    }
    open();
  }

  setInterval(() => {
    if (source !== null && performance.now() - Math.max(heardAt, opened) > SILENCE_MS) again();
  }, 1000);
  // A browser allows six connections to one server: hidden pages give theirs back.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : resume()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && resume());
  if (!document.hidden) open();
}
