// Before the first paint: the chosen variant, else the system's. In <head>, and not a module, so that it blocks.
(() => {
  "use strict";
  const KEY = "trimtab-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null; // where storage is switched off, for as long as the page
  const stored = () => {
    try {
      return localStorage.getItem(KEY) ?? chosen;
    } catch {
      return chosen;
    }
  };
  const apply = () => {
    const theme = stored() ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  };
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === KEY && apply());
  document.addEventListener("choose-theme", (event) => {
    chosen = event.detail;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // it lasts as long as the page
    }
    apply();
  });
  apply();
})();
