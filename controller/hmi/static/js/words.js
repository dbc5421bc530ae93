// Numbers, times and names as text. What does not exist is "-", never 0.

export const NONE = "-";

const finite = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with `digits` after the point. */
export function fixed(value, digits = 1) {
  if (!finite(value)) return NONE;
  const text = value.toFixed(digits);
  return Number(text) === 0 && text.startsWith("-") ? text.slice(1) : text;
}

/** A number of any size in a few characters. */
export function short(value) {
  if (!finite(value)) return NONE;
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return String(value);
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e6 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

/** Milliseconds of seconds. */
export const milliseconds = (seconds) =>
  finite(seconds) ? `${fixed(1000 * seconds, seconds < 0.1 ? 1 : 0)} ms` : NONE;

/** A span of time: 3 s, 4 min, 2 h 5 min, 3 d 4 h. */
export function span(seconds) {
  if (!finite(seconds)) return NONE;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${fixed(seconds, 1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long moves may be held, as the journal has it: "inf" beyond the horizon, negative once it is too late. */
export function noReturn(value) {
  if (value === "inf") return "beyond the horizon";
  return value === "-inf" || value < 0 ? "already past" : span(value);
}

const two = (number) => String(number).padStart(2, "0");

/** 14:03:07, local time; from seconds since 1970, an ISO text or a Date. */
export function clock(when) {
  const date = toDate(when);
  return date ? `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}` : NONE;
}

/** The zone of every time on the page: UTC, UTC+01:00. */
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const size = Math.abs(minutes);
  return minutes === 0 ? "UTC" : `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** 2026-01-31 14:03:07, local time. */
export function stamp(when) {
  const date = toDate(when);
  return date ? `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}` : NONE;
}

/** What <input type="datetime-local"> wants. */
export const localInput = (when) => stamp(when).replace(" ", "T");

export function toDate(when) {
  if (when === null || when === undefined || when === "") return null;
  const date = when instanceof Date ? when : new Date(typeof when === "number" ? 1000 * when : when);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** InitiatorFeed -> Initiator Feed. */
export const spaced = (tag) => String(tag).replace(/([a-z0-9])([A-Z])/g, "$1 $2");

/** Seconds since 1970, null where there is no such time. */
export function seconds(when) {
  const date = toDate(when);
  return date ? date.getTime() / 1000 : null;
}

/** Seconds since 1970 of the server, as far as its last message tells. */
const offset = { seconds: 0 };
export const serverTime = (date) => date / 1000 + offset.seconds;
export const serverNow = () => serverTime(Date.now());
export function learnTime(when) {
  const told = seconds(when);
  if (told !== null) offset.seconds = told - Date.now() / 1000;
}
