/* Light or dark, as chosen before or as the system has it; a classic script, so that nothing is drawn in the wrong one. */
"use strict";

(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const set = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  set(kept());
  addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("#theme");
    if (!button) return;
    const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const tell = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      set(theme);
      try { localStorage.setItem("theme", theme); } catch { /* Private windows keep nothing. */ }
      tell();
      dispatchEvent(new Event("theme"));
    });
    tell();
  });
})();
