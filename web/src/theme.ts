// Before the first paint: the page never flashes in the wrong colours. Kept apart from the bundle, which comes later.
const chosen = (() => {
  try {
    return localStorage.getItem("moecap-theme");
  } catch {
    return null;
  }
})();
if (chosen === "light" || chosen === "dark" || chosen === "contrast") document.documentElement.dataset.theme = chosen;
