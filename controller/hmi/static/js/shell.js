// What every page has: navigation, link, clock, session, theme, keyboard, announcements.
import { post, session as askSession } from "./api.js";
import { announce, byId, el, setAttribute, setText } from "./dom.js";
import { startKeyboard } from "./keyboard.js";
import { follow } from "./live.js";
import { clock, serverNow, serverTime, zone } from "./words.js";

const WARN_S = 60;
const { page, unit = null } = document.body.dataset;

export const unitName = unit;

// Who is logged in, and what each plant permits: units: {R101: ["mode", ...]}, refused: {R102: why}.
const NOBODY = { user: null, units: {}, refused: {} };
let present = NOBODY;
let ends = null; // Date.now() at which the session ends
let over = false;
let wasLost = false;
let back = () => {};
const listeners = new Set();

const WORDS = {
  mode: "select the mode",
  setpoint: "change setpoints",
  acknowledge: "acknowledge alarms",
  acknowledge_shed: "acknowledge a shed",
};

/** Why an action is off on a unit, "" where it is on; without an action: why nothing is on. */
export function whyNot(name = null, action = null) {
  if (over) return "Your session is over: log in again to act.";
  if (!present.user) return "Read-only: log in to act.";
  if (name === null) return "";
  if (present.refused?.[name])
    return `Read-only: ${name} did not take the login of ${present.user}: ${present.refused[name]}`;
  const permits = present.units?.[name] ?? [];
  if (!(name in (present.units ?? {}))) return `Read-only: ${present.user} is not logged in on ${name}.`;
  if (action === null || permits.includes(action)) return "";
  return `The plant does not permit ${present.user} to ${WORDS[action] ?? action}.`;
}

/** Call `listener` now and whenever the session changes, until what is returned is called. */
export function onSession(listener) {
  listeners.add(listener);
  listener();
  return () => listeners.delete(listener);
}

/** Ask again who is logged in; also after an action, which prolongs the session. */
export async function refreshSession() {
  try {
    const had = present.user;
    present = await askSession();
    over = (over || had !== null) && present.user === null;
    ends = present.user === null || !Number.isFinite(present.expires_s) ? null : Date.now() + 1000 * present.expires_s;
  } catch {
    // no connection: the stream's banner says so
  }
  showSession();
}

/** An action was refused because the session is gone. */
export function sessionIsOver() {
  present = NOBODY;
  over = true;
  ends = null;
  showSession();
}

/** Start the page: `on` are the listeners of the stream (see live.js), onBack of a link that is back. */
export function start({ onBack = () => {}, ...on } = {}) {
  back = onBack;
  byId("theme").addEventListener("click", toggleTheme);
  document.addEventListener("theme", showTheme);
  showTheme();
  for (const link of document.querySelectorAll(`[data-nav="${current()}"]`)) {
    link.setAttribute("aria-current", "page");
  }
  byId("unit-choice")?.addEventListener("change", (event) => location.assign(sibling(event.target.value)));
  startKeyboard(unit);
  refreshSession();
  setInterval(everySecond, 1000);
  everySecond();
  const all = { ...on, alarms: (alarms) => (countAlarms(alarms), on.alarms?.(alarms)) };
  follow(unit, all, showLink);
}

const current = () => ({ run: "runs", scan: "runs" })[page] ?? page;

function sibling(name) {
  const rest = ["model", "history", "runs"].includes(current()) ? `/${current()}` : "";
  return `/units/${encodeURIComponent(name)}${rest}`;
}

function everySecond() {
  setText(byId("clock"), `${clock(serverNow())} ${zone()}`);
  if (ends !== null) {
    const left = (ends - Date.now()) / 1000;
    if (left <= 0) sessionIsOver();
    else if (left <= WARN_S) showNotice(`Your session ends in ${Math.ceil(left)} s unless you act.`);
  }
}

function showSession() {
  const box = byId("session");
  if (present.user) {
    const leave = el("button", { type: "button", class: "quiet", onclick: logOut }, "Log out");
    box.replaceChildren(el("span", { class: "user" }, present.user), " ", leave);
    showNotice("");
  } else {
    const next = encodeURIComponent(location.pathname + location.search);
    box.replaceChildren(el("a", { href: `/login?next=${next}`, "data-nav": "login" }, "Log in"));
    showNotice(over ? "Your session is over. The page is read-only; log in again to act." : "");
  }
  for (const listener of listeners) listener();
}

async function logOut() {
  try {
    await post("/api/logout");
  } catch {
    // the session may be gone already: what the server says next counts
  }
  present = NOBODY;
  over = false;
  await refreshSession();
  announce("logged out");
}

function showNotice(text) {
  const box = byId("notice");
  setText(box, text);
  setAttribute(box, "hidden", !text);
}

function showLink(lostSince) {
  const banner = byId("banner");
  const text = lostSince === null ? "" : `Link lost since ${clock(serverTime(lostSince))}: what is shown is old.`;
  setText(banner, text);
  setAttribute(banner, "hidden", !text);
  setAttribute(document.body, "data-link", lostSince === null ? "live" : "lost");
  setText(byId("link"), lostSince === null ? "live" : "no link");
  if (lostSince === null && wasLost) {
    announce("link is back");
    refreshSession();
    back();
  }
  wasLost = lostSince !== null;
}

let standing = null;

/** The badge in the navigation, and what a screen reader hears of alarms. */
function countAlarms(alarms) {
  const open = alarms.filter((alarm) => alarm.state === "unacknowledged" || alarm.state === "returned");
  const badge = byId("alarm-count");
  setText(badge, open.length ? `${open.length} unacknowledged` : "");
  setAttribute(badge, "hidden", open.length === 0);
  const seen = new Map(alarms.map((alarm) => [`${alarm.unit} ${alarm.name}`, alarm.state]));
  if (standing !== null) {
    for (const [name, state] of seen) {
      if (standing.get(name) !== state) announce(`Alarm ${name}: ${state}`);
    }
    for (const name of standing.keys()) if (!seen.has(name)) announce(`Alarm ${name}: over`);
  }
  standing = seen;
}

const theme = () => document.documentElement.dataset.theme;

function toggleTheme() {
  const detail = theme() === "dark" ? "light" : "dark";
  document.dispatchEvent(new CustomEvent("choose-theme", { detail }));
}

function showTheme() {
  setAttribute(byId("theme"), "aria-pressed", theme() === "dark" ? "true" : "false");
}

let lastMode = new Map();

/** Announce a change of a unit's mode. */
export function announceMode(summary) {
  const before = lastMode.get(summary.unit);
  if (before !== undefined && before !== summary.mode) {
    announce(`${summary.unit}: mode ${summary.mode ?? "unknown"}, ${summary.mode_text ?? ""}`);
  }
  lastMode.set(summary.unit, summary.mode);
}
