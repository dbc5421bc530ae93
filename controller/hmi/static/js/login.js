// The login page.
import { ApiError, post, session } from "./api.js";
import { byId, setText } from "./dom.js";
import { start } from "./shell.js";

start();
const unit = byId("unit"); // only where plants have different users

/** Where to go afterwards: a page of this server, whatever the address says. */
function next() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  const target = new URL(wanted, location.origin);
  const ours = wanted.startsWith("/") && target.origin === location.origin;
  const page = target.pathname !== "/login" && !target.pathname.startsWith("//");
  return ours && page ? target.href : "/"; // whole: a path alone may name another site
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  const problem = byId("problem");
  setText(problem, "");
  button.disabled = true;
  try {
    await session(); // the token of this browser, which may have waited for hours
    await post("/api/login", { user: byId("user").value, password: byId("password").value, unit: unit?.value });
    location.assign(next());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(problem, error.message);
    byId("password").value = "";
    byId("password").focus();
  } finally {
    button.disabled = false;
  }
});

// Not where somebody types already: what they type would go into the other field.
if (document.activeElement === document.body) (unit === null || unit.value ? byId("user") : unit).focus();
