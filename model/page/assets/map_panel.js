// A panel of the map: Vega draws its dots; what is near a pointer and where an arrow key leads is decided here.
window.mynaParts ??= {};
(() => {
  "use strict";

  const { make } = window.mynaParts;
  const REACH_PIXELS = { mouse: 16, pen: 20, touch: 28 }; // from pointer to dot
  const LETTER = [7, 16]; // width of one and height of a line, pixels of bold words
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // One split's dots: where they lie in pixels, and what Vega shows of them.
  class Panel {
    constructor(number, map) {
      this.number = number;
      this.map = map;
      this.clips = map.clips.panel.flatMap((panel, clip) => (panel === number ? [clip] : []));
      const { title, clips } = map.data.panels[number];
      this.plot = make("div", { class: "map-plot", tabindex: "0", role: "application", "aria-label":
        `${title}: ${clips} clips. Arrow keys move from dot to dot, Enter keeps one, Escape clears.` });
      this.drawing = make("div", { "aria-hidden": "true" }); // Vega names what it draws into after itself, not the plot
      this.plot.append(this.drawing);
      this.listen();
      this.plot.style.aspectRatio = map.data.reach.join(" / ");
      this.element = make("div", { class: "map-panel" },
        make("h3", {}, title, make("span", {}, ` ${clips.toLocaleString("en")} clips`)), this.plot);
      new ResizeObserver(() => this.resize()).observe(this.plot);
    }

    listen() {
      const on = (name, act) => this.plot.addEventListener(name, act);
      on("pointermove", (event) => event.pointerType !== "touch" && this.map.point(this.under(event)));
      on("pointerleave", () => this.map.point(null));
      on("pointerdown", (event) => { this.pointer = event.pointerType; }); // not every browser tells it of a click
      on("click", (event) => this.clicked(this.under(event), this.pointer === "touch"));
      on("keydown", (event) => this.key(event));
      on("focus", () => this.plot.matches(":focus-visible") && this.map.enter(this));
      on("blur", () => this.map.point(null));
    }

    clicked(clip, byTouch) {
      this.map.choose(clip);
      if (byTouch) this.map.point(clip); // the details may lie below the screen
    }

    async embed(theme) {
      const [width, height] = this.size();
      const options = { mode: "vega-lite", ast: true, actions: false, renderer: "canvas", defaultStyle: false };
      const spec = { ...this.map.data.spec, width, height };
      const embedded = await vegaEmbed(this.drawing, spec, { ...options, tooltip: false, config: theme.config });
      this.embedded?.finalize();
      this.embedded = embedded;
      this.resize(); // the window may have changed meanwhile
    }

    size() {
      return [this.plot.clientWidth || 300, this.plot.clientHeight || 300];
    }

    resize() {
      const [width, height] = this.size();
      const view = this.embedded?.view;
      if (view && (view.signal("width") !== width || view.signal("height") !== height)) {
        view.signal("width", width).signal("height", height).runAsync();
      }
    }

    // Pixels of a clip from the upper left corner of the plot.
    pixels(clip, [width, height] = this.size()) {
      const [side, up] = this.map.data.reach;
      const { x, y } = this.map.clips;
      return [((x[clip] + side) / (2 * side)) * width, ((up - y[clip]) / (2 * up)) * height];
    }

    // Whether a neighbour's number lies on the name of a class.
    covers(rank, name) {
      const pixels = this.size()[0] / (2 * this.map.data.reach[0]);
      const [aside, above] = [Math.abs(rank.x - name.x) * pixels, Math.abs(rank.y - name.y) * pixels];
      return rank.panel === name.panel && aside < LETTER[0] * (name.text.length / 2 + 1) && above < LETTER[1];
    }

    // The clip under a pointer, among those that stand out; null if none is near.
    under(event) {
      const box = this.plot.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const reach = REACH_PIXELS[event.pointerType || this.pointer] ?? REACH_PIXELS.mouse;
      return this.least((dx, dy) => { const far = Math.hypot(dx, dy); return far < reach ? far : Infinity; }, x, y);
    }

    // The nearest clip within 45 degrees of a direction, or else on that side at all.
    towards(from, [right, down]) {
      const [x, y] = this.pixels(from);
      const along = (dx, dy) => dx * right + dy * down;
      const across = (dx, dy) => Math.abs(dx * down) + Math.abs(dy * right);
      const ahead = (dx, dy) => (along(dx, dy) > 0.01 && across(dx, dy) <= along(dx, dy) ? Math.hypot(dx, dy) : Infinity);
      const aside = (dx, dy) => (along(dx, dy) > 0.01 ? along(dx, dy) + 3 * across(dx, dy) : Infinity);
      return this.least(ahead, x, y) ?? this.least(aside, x, y) ?? from;
    }

    least(distance, x, y) {
      let [best, found] = [Infinity, null];
      const size = this.size();
      for (const clip of this.clips) {
        if (!this.map.standsOut(clip)) continue;
        const [cx, cy] = this.pixels(clip, size);
        const far = distance(cx - x, cy - y);
        if (far < best) [best, found] = [far, clip];
      }
      return found;
    }

    middle() {
      const [width, height] = this.size();
      return this.least(Math.hypot, width / 2, height / 2);
    }

    key(event) {
      const arrow = ARROWS[event.key];
      if (!arrow && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      const from = this.clips.includes(this.map.pointed) ? this.map.pointed : null;
      if (!arrow) this.map.choose(from);
      else this.map.point(from === null ? this.middle() : this.towards(from, arrow), true);
    }

    show(name, rows) {
      const view = this.embedded?.view;
      if (!view) return;
      view.data(name, rows.filter((row) => row.panel === this.number));
      view.runAsync();
    }
  }

  window.mynaParts.Panel = Panel;
})();
