// Draws the charts of the page and keeps them, and the map, in the theme that the reader chose.
// Everything foreign enters the document as text: no markup is ever made from strings.
(() => {
  "use strict";

  const CHOICES = ["auto", "light", "dark"];
  const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element -> what vega-embed gave for it
  const maps = [];
  let turn = 0; // of drawing everything: a theme that is not wanted any more is not drawn to its end

  const data = (id) => JSON.parse(document.getElementById(id).textContent);

  function currentTheme() {
    const chosen = document.documentElement.dataset.theme;
    const dark = chosen ? chosen === "dark" : darkSystem.matches;
    return { dark, config: data(dark ? "theme-dark" : "theme-light") };
  }

  // Vega names the element it draws into after itself, so it gets one of its own: the outer one says what the chart is.
  function inside(element) {
    const place = element.firstElementChild ?? document.createElement("div");
    place.setAttribute("aria-hidden", "true");
    element.replaceChildren(place);
    return place;
  }

  async function draw(element, spec, config) {
    const options = {
      ast: true, // expressions are interpreted, so that the page forbids eval
      actions: false,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      config,
    };
    const embedded = await vegaEmbed(inside(element), spec, options);
    drawn.get(element)?.finalize();
    drawn.set(element, embedded);
  }

  async function drawAll(theme) {
    const mine = ++turn;
    for (const element of document.querySelectorAll(".chart")) {
      try {
        await draw(element, data(`${element.id}-spec`), theme.config);
      } catch (error) { // the other charts shall not suffer
        element.textContent = "This chart could not be drawn; its numbers are in the table.";
        element.setAttribute("role", "note"); // of an image nobody is told the text
        console.error(error);
      }
      if (mine !== turn) return;
    }
    document.documentElement.dataset.drawn = theme.dark ? "dark" : "light";
  }

  function mountMaps(theme) {
    for (const element of document.querySelectorAll(".map")) {
      maps.push(window.mynaMap.mount(element, data(element.dataset.source), theme));
    }
  }

  function changed() {
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
    return changed();
  }

  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => nextTheme(button));
  darkSystem.addEventListener("change", changed);
  window.addEventListener("beforeprint", () => {
    for (const more of document.querySelectorAll("details")) more.open = true;
  });
  const first = currentTheme();
  mountMaps(first);
  drawAll(first).then(() => { // charts have pushed down what a link led to
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  });
})();
