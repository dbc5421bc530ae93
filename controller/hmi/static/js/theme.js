// Before the first paint: the chosen variant, else the system's. In <head>, and not a module, so that it blocks.
(() => {
  "use strict";
  const KEY = "trimtab-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage switched off
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
    try {
      localStorage.setItem(KEY, event.detail);
    } catch {
      document.documentElement.dataset.theme = event.detail;
    }
    apply();
  });
  apply();
})();
