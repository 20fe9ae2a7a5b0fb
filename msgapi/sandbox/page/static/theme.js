// The chosen colours are applied before the first paint, so this script is not a module.
(() => {
  let theme = "";
  try {
    theme = localStorage.getItem("msgapi.theme") ?? "";
  } catch {
    // Without storage, the page follows the system.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
