// Draws the charts of the page, and redraws them and the map when the theme changes.
// Text from elsewhere enters the document as text. Markup is never built from strings.
(() => {
  "use strict";

  const CHOICES = ["auto", "light", "dark"];
  const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element -> result of vega-embed
  const maps = [];
  let latestDrawing = 0; // a drawing stops when a later one has begun

  const data = (id) => JSON.parse(document.getElementById(id).textContent);

  function currentTheme() {
    const chosen = document.documentElement.dataset.theme;
    const dark = chosen ? chosen === "dark" : darkSystem.matches;
    return { dark, config: data(dark ? "theme-dark" : "theme-light") };
  }

  // Vega relabels the element that it draws into, so it gets one inside. The outer one has the chart's description.
  function innerElement(element) {
    const inner = element.firstElementChild ?? document.createElement("div");
    inner.setAttribute("aria-hidden", "true");
    element.replaceChildren(inner);
    return inner;
  }

  async function draw(element, spec, config) {
    const options = {
      ast: true, // expressions are interpreted, because the page forbids eval
      actions: false,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      config,
    };
    const embedded = await vegaEmbed(innerElement(element), spec, options);
    drawn.get(element)?.finalize();
    drawn.set(element, embedded);
  }

  async function drawAll(theme) {
    const drawing = ++latestDrawing;
    for (const element of document.querySelectorAll(".chart")) {
      try {
        await draw(element, data(`${element.id}-spec`), theme.config);
      } catch (error) { // the other charts are still drawn
        element.textContent = "This chart could not be drawn. Its numbers are in the table.";
        element.setAttribute("role", "note"); // screen readers do not read the text of an image
        console.error(error);
      }
      if (drawing !== latestDrawing) return;
    }
    document.documentElement.dataset.drawn = theme.dark ? "dark" : "light";
  }

  function mountMaps(theme) {
    for (const element of document.querySelectorAll(".map")) {
      maps.push(window.mynaMap.mount(element, data(element.dataset.source), theme));
    }
  }

  function redraw() {
    const theme = currentTheme();
    for (const map of maps) map.theme(theme);
    return drawAll(theme);
  }

  function nextTheme(button) {
    const chosen = document.documentElement.dataset.theme ?? "auto";
    const next = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    button.textContent = `Theme: ${next}`;
    return redraw();
  }

  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => nextTheme(button));
  darkSystem.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  const theme = currentTheme();
  mountMaps(theme);
  drawAll(theme).then(() => { // charts have moved the target of a link down
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  });
})();
