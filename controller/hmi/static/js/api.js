// Asking the server. Every refusal becomes an ApiError whose message is the server's own words.

export class ApiError extends Error {
  /** status: of HTTP, 0 where nobody answers; afterMs: how long the server wants to be left alone. */
  constructor(status, message, afterMs = 0) {
    super(message);
    Object.assign(this, { status, afterMs });
  }
}

let csrf = null;

/** The JSON at an address below /api/; raises ApiError. */
export const get = (path) => ask(path, { headers: { Accept: "application/json" } });

/** Who is logged in; keeps the token that every change needs. */
export async function session() {
  const found = await get("/api/session");
  csrf = found.csrf;
  return found;
}

/** Send a change; raises ApiError. */
export async function post(path, body = {}) {
  if (csrf === null) await session();
  const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": csrf };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/** An address from its parts, each made safe. */
export const path = (...parts) => `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new ApiError(0, "no connection to the HMI's server");
  }
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : {};
  } catch {
    found = null;
  }
  if (answer.ok && found !== null) return found;
  const words = typeof found?.error === "string" ? found.error : `the server answered ${answer.status}`;
  const after = Number(answer.headers.get("Retry-After") ?? 0);
  throw new ApiError(answer.status, words, Number.isFinite(after) ? 1000 * Math.max(after, 0) : 0);
}
