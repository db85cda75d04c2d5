// DOM elements from names and text. Text from elsewhere is never read as markup.
window.mynaMapClasses ??= {};
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const SYMBOLS = { // as Vega draws them, in a box from -1 to 1
    "circle": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "square": "M-.9,-.9H.9V.9H-.9Z",
    "triangle-up": "M0,-.9L1,.85H-1Z",
    "triangle-down": "M0,.9L1,-.85H-1Z",
    "triangle-right": "M.9,0L-.85,1V-1Z",
    "triangle-left": "M-.9,0L.85,1V-1Z",
    "diamond": "M0,-1.1L.95,0L0,1.1L-.95,0Z",
    "cross": "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
  };

  // Return an element with attributes (functions such as `onclick` are listeners) and with children or text.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  // Return the symbol of a class as SVG.
  function symbol(mark, color) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of [["viewBox", "-1.3 -1.3 2.6 2.6"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", SYMBOLS[mark.shape]);
    path.setAttribute("fill", color);
    svg.append(path);
    return svg;
  }

  const outlines = new Map();

  // Return the symbol of a class as a path for a canvas.
  function outline(shape) {
    if (!outlines.has(shape)) outlines.set(shape, new Path2D(SYMBOLS[shape]));
    return outlines.get(shape);
  }

  Object.assign(window.mynaMapClasses, { make, outline, symbol });
})();
