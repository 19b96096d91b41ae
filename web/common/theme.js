// A classic script in the head, so that the chosen colours are there before the first paint.
(function () {
  "use strict";
  var chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch (error) {
    chosen = null; // storage can be forbidden; then the system's colours hold
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
