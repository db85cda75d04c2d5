// A panel of the map. Vega draws the dots; this file decides which clip is near a pointer and where arrow keys lead.
window.mynaMapClasses ??= {};
(() => {
  "use strict";

  const { make, outline } = window.mynaMapClasses;
  const MAX_POINTER_PIXELS = { mouse: 16, pen: 20, touch: 28 }; // from the pointer to a dot
  const LETTER = [7, 16]; // width of a letter and height of a line of bold text in pixels
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // Return a small canvas with one dot, because copying it is ten times as fast as filling its outline again.
  function sprite({ fill, stroke, shape, size }, pixels) {
    const [radius, scale] = [Math.ceil((Math.sqrt(size) / 2 + 2) * pixels), Math.sqrt(size) / 2];
    const image = make("canvas", { width: 2 * radius, height: 2 * radius });
    const context = image.getContext("2d");
    context.setTransform(scale * pixels, 0, 0, scale * pixels, radius, radius);
    Object.assign(context, { fillStyle: fill, strokeStyle: stroke, lineWidth: 1.2 / scale });
    context.fill(outline(shape));
    context.stroke(outline(shape));
    return image;
  }

  // The dots of one split: their positions in pixels, and what Vega shows of them.
  class Panel {
    constructor(index, map) {
      this.index = index;
      this.map = map;
      this.clips = map.clips.panel.flatMap((panel, clip) => (panel === index ? [clip] : []));
      const { title, clips } = map.data.panels[index];
      this.plot = make("div", { class: "map-plot", tabindex: "0", role: "application", "aria-label":
        `${title}: ${clips} clips. Arrow keys move from dot to dot, Enter selects a clip, Escape clears the selection.` });
      this.rows = []; // what is drawn of each dot
      this.dots = make("canvas", { class: "map-dots", "aria-hidden": "true" });
      this.drawing = make("div", { "aria-hidden": "true" }); // Vega labels the element that it draws into, not the plot
      this.plot.append(this.dots, this.drawing);
      this.listen();
      this.plot.style.aspectRatio = map.data.extent.join(" / ");
      this.element = make("div", { class: "map-panel" },
        make("h3", {}, title, make("span", {}, ` ${clips.toLocaleString("en")} clips`)), this.plot);
      new ResizeObserver(() => this.resize()).observe(this.plot);
    }

    listen() {
      const on = (name, act) => this.plot.addEventListener(name, act);
      on("pointermove", (event) => event.pointerType !== "touch" && this.map.point(this.under(event)));
      on("pointerleave", () => this.map.point(null));
      on("pointerdown", (event) => { this.pointer = event.pointerType; }); // not every browser has it in click events
      on("click", (event) => this.clicked(this.under(event), this.pointer === "touch"));
      on("keydown", (event) => this.key(event));
      on("focus", () => this.plot.matches(":focus-visible") && this.map.enter(this));
      on("blur", () => this.map.point(null));
    }

    clicked(clip, byTouch) {
      this.map.choose(clip);
      if (byTouch) this.map.point(clip); // the details may be below the screen
    }

    async embed(theme) {
      const [width, height] = this.size();
      const options = { mode: "vega-lite", ast: true, actions: false, renderer: "canvas", defaultStyle: false };
      const spec = { ...this.map.data.spec, width, height };
      const embedded = await vegaEmbed(this.drawing, spec, { ...options, tooltip: false, config: theme.config });
      this.embedded?.finalize();
      this.embedded = embedded;
      this.resize(); // the window may have changed in the meantime
    }

    size() {
      return [this.plot.clientWidth || 300, this.plot.clientHeight || 300];
    }

    resize() {
      const [width, height] = this.size();
      if (this.dots.style.width !== `${width}px` || this.dots.style.height !== `${height}px`) this.drawDots();
      const view = this.embedded?.view;
      if (view && (view.signal("width") !== width || view.signal("height") !== height)) {
        view.signal("width", width).signal("height", height).runAsync();
      }
    }

    // Return the pixels of a clip from the upper left corner of the plot.
    pixels(clip, [width, height] = this.size()) {
      const [side, top] = this.map.data.extent;
      const { x, y } = this.map.clips;
      return [((x[clip] + side) / (2 * side)) * width, ((top - y[clip]) / (2 * top)) * height];
    }

    // Return whether the rank of a neighbor lies on the name of a class.
    covers(rank, name) {
      const pixels = this.size()[0] / (2 * this.map.data.extent[0]);
      const [dx, dy] = [Math.abs(rank.x - name.x) * pixels, Math.abs(rank.y - name.y) * pixels];
      return rank.panel === name.panel && dx < LETTER[0] * (name.text.length / 2 + 1) && dy < LETTER[1];
    }

    // Return the clip under a pointer among those that are not faded, or null if none is near.
    under(event) {
      const box = this.plot.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const limit = MAX_POINTER_PIXELS[event.pointerType || this.pointer] ?? MAX_POINTER_PIXELS.mouse;
      const within = (dx, dy) => { const pixels = Math.hypot(dx, dy); return pixels < limit ? pixels : Infinity; };
      return this.closest(within, x, y);
    }

    // Return the nearest clip within 45 degrees of a direction, or else a clip on that side.
    towards(from, [right, down]) {
      const [x, y] = this.pixels(from);
      const along = (dx, dy) => dx * right + dy * down;
      const across = (dx, dy) => Math.abs(dx * down) + Math.abs(dy * right);
      const ahead = (dx, dy) => (along(dx, dy) > 0.01 && across(dx, dy) <= along(dx, dy) ? Math.hypot(dx, dy) : Infinity);
      const onSide = (dx, dy) => (along(dx, dy) > 0.01 ? along(dx, dy) + 3 * across(dx, dy) : Infinity);
      return this.closest(ahead, x, y) ?? this.closest(onSide, x, y) ?? from;
    }

    closest(distance, x, y) {
      let [shortest, closest] = [Infinity, null];
      const size = this.size();
      for (const clip of this.clips) {
        if (!this.map.isActive(clip)) continue;
        const [clipX, clipY] = this.pixels(clip, size);
        const length = distance(clipX - x, clipY - y);
        if (length < shortest) [shortest, closest] = [length, clip];
      }
      return closest;
    }

    middle() {
      const [width, height] = this.size();
      return this.closest(Math.hypot, width / 2, height / 2);
    }

    key(event) {
      const arrow = ARROWS[event.key];
      if (!arrow && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      const from = this.clips.includes(this.map.pointed) ? this.map.pointed : null;
      if (!arrow) this.map.choose(from);
      else this.map.point(from === null ? this.middle() : this.towards(from, arrow), true);
    }

    // Draw all dots. Only a filter or another color redraws them, so that pointing stays fast with 20,000 dots.
    drawDots() {
      const [width, height] = this.size();
      const pixels = window.devicePixelRatio || 1;
      [this.dots.width, this.dots.height] = [width * pixels, height * pixels];
      Object.assign(this.dots.style, { width: `${width}px`, height: `${height}px` });
      const context = this.dots.getContext("2d");
      const [side, top] = this.map.data.extent;
      const sprites = new Map();
      for (const row of this.rows) {
        const key = `${row.shape} ${row.fill} ${row.stroke} ${row.size}`;
        if (!sprites.has(key)) sprites.set(key, sprite(row, pixels));
        const image = sprites.get(key);
        const [left, down] = [((row.x + side) / (2 * side)) * width, ((top - row.y) / (2 * top)) * height];
        context.globalAlpha = row.opacity;
        context.drawImage(image, left * pixels - image.width / 2, down * pixels - image.height / 2);
      }
    }

    show(name, rows) {
      if (name === "dots") {
        this.rows = rows.filter((row) => row.panel === this.index);
        this.drawDots();
        return;
      }
      const view = this.embedded?.view;
      if (!view) return;
      view.data(name, rows.filter((row) => row.panel === this.index));
      view.runAsync();
    }
  }

  window.mynaMapClasses.Panel = Panel;
})();
