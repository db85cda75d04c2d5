// The map of clips: a legend that filters, panels of dots, and details of the clip that is pointed at or selected.
window.mynaMap = (() => {
  "use strict";

  const { make, symbol, Pictures, Player, Panel } = window.mynaMapClasses;
  const FADED = 0.1;
  const RINGS = { near: [150, 1.6], pointed: [210, 2.4], chosen: [330, 2.8] }; // area, width

  class EmbeddingMap {
    constructor(element, data, theme) {
      Object.assign(this, { element, data, clips: data.clips, task: 0, picked: null, pointed: null, chosen: null, matches: null });
      this.pictures = new Pictures(data.pictures);
      this.player = new Player(data.sound, (message) => this.showPlayer(message));
      this.panels = data.panels.map((_, index) => new Panel(index, this));
      this.build();
      this.theme(theme);
    }

    get encoding() {
      return this.data.tasks[this.task] ?? null;
    }

    build() {
      this.legend = make("div", { class: "map-legend", role: "group", "aria-label": "Show one class" });
      this.card = make("div", { class: "map-card", "aria-hidden": "true", hidden: true });
      this.status = make("p", { class: "map-status", role: "status" });
      this.details = make("div", { class: "map-details", "aria-live": "polite" });
      const panels = make("div", { class: "map-panels" }, ...this.panels.map((panel) => panel.element));
      this.element.append(this.controls(), this.legend, panels, this.details, this.card, this.status,
        this.player.element);
      this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.clear());
      this.element.classList.toggle("single", this.panels.length === 1);
      this.showDetails();
    }

    controls() {
      const options = this.data.tasks.map(({ name }, index) => make("option", { value: index }, name));
      const select = make("select", { onchange: () => this.colorBy(Number(select.value)) }, ...options);
      const label = make("label", { class: "map-task", hidden: !options.length }, "Color by ", select);
      const count = Object.keys(this.data.sound).length;
      const hint = make("span", { class: "map-hint", hidden: !count }, `Outlined dots have sound (${count})`);
      this.texts = this.clips.id.map((id, clip) => [id, ...this.labels(clip).map(([, text]) => text)].join("\n").toLowerCase());
      this.search = make("input", { type: "search", placeholder: "Search clips", "aria-label": "Search clips by name or label",
        oninput: () => this.find(this.search.value), onkeydown: (event) => event.key === "Enter" && this.jumpToFound() });
      this.found = make("span", { class: "map-found" });
      return make("div", { class: "map-controls" }, label, this.search, this.found, hint);
    }

    // Actions

    theme(theme) {
      this.dark = theme.dark;
      const style = getComputedStyle(this.element);
      this.colors = Object.fromEntries(["text", "muted", "card", "accent"].map((name) =>
        [name, style.getPropertyValue(`--${name}`).trim()]));
      this.showLegend();
      // themes are drawn one after the other, so that the last one remains
      this.ready = Promise.resolve(this.ready).then(() => Promise.all(this.panels.map((panel) => panel.embed(theme))));
      this.ready = this.ready.then(() => this.showAll());
    }

    colorBy(task) {
      [this.task, this.picked] = [task, null];
      this.point(null);
      this.showLegend();
      this.showAll();
      this.showDetails();
    }

    pick(index) {
      this.picked = this.picked === index ? null : index;
      this.markPicked();
      this.showDots();
      this.showText();
    }

    // Fade all clips whose name and labels do not contain the text.
    find(text) {
      const wanted = text.trim().toLowerCase();
      this.matches = wanted ? this.texts.map((own) => own.includes(wanted)) : null;
      const count = this.matches?.filter(Boolean).length ?? 0;
      this.found.textContent = wanted ? `${count.toLocaleString("en")} found` : "";
      this.showDots();
    }

    jumpToFound() {
      const first = this.matches?.indexOf(true) ?? -1;
      if (first >= 0) this.choose(first);
    }

    enter(panel) {
      if (panel.clips.includes(this.chosen)) this.point(this.chosen, true);
    }

    point(clip, byKey = false) {
      if (clip === this.pointed) return;
      this.pointed = clip;
      this.showRings();
      this.showCard();
      this.status.textContent = byKey && clip !== null ? this.sentence(clip) : "";
    }

    choose(clip) {
      if (clip === null) return;
      this.chosen = clip;
      if (this.player.has(clip)) this.player.play(clip);
      else this.player.stop();
      this.showRings();
      this.showText();
      this.showDetails();
    }

    jump(clip) {
      if (!this.isActive(clip)) { // the filter would hide it
        [this.search.value, this.found.textContent, this.matches] = ["", "", null];
        this.pick(null);
      }
      this.choose(clip);
      this.details.querySelector("h3").focus({ preventScroll: true });
    }

    clear() {
      this.player.stop();
      [this.picked, this.pointed, this.chosen, this.matches] = [null, null, null, null];
      [this.search.value, this.found.textContent] = ["", ""];
      this.markPicked();
      this.showAll();
      this.showCard();
      this.showDetails();
      this.status.textContent = "Cleared";
    }

    // Properties of a clip

    isActive(clip) {
      if (this.matches && !this.matches[clip]) return false;
      return this.picked === null || this.encoding.members[clip].includes(this.picked);
    }

    split(clip) {
      return this.data.panels[this.clips.panel[clip]].title;
    }

    labels(clip) {
      return this.data.tasks.map((task) => {
        const label = task.values?.[clip] ?? task.members[clip].map((index) => task.classes[index].name).join(", ");
        return [task.name, label];
      }).filter(([, label]) => label);
    }

    sentence(clip) {
      const labels = this.labels(clip).map(([name, label]) => `${name} ${label}`);
      const sound = this.player.has(clip) ? ["has sound"] : [];
      return [this.clips.id[clip], this.split(clip), ...labels, ...sound].join(", ");
    }

    color(mark) {
      return mark.colors[this.dark ? 1 : 0];
    }

    // Display

    showAll() {
      this.showDots();
      this.showRings();
      this.showText();
    }

    dot(clip) {
      const { encoding, picked } = this;
      const members = encoding?.members[clip] ?? [];
      const index = picked !== null && members.includes(picked) ? picked : members[0];
      const plain = index === undefined || (encoding.kind === "tags" && index !== picked);
      const mark = plain ? { shape: "circle", size: 26, colors: this.data.plain } : encoding.classes[index];
      const fill = this.color(mark);
      const opacity = this.isActive(clip) ? (plain ? 0.55 : 0.85) : FADED;
      const stroke = this.player.has(clip) ? this.colors.text : fill;
      const { x, y, panel } = this.clips;
      return { x: x[clip], y: y[clip], panel: panel[clip], fill, stroke, opacity, shape: mark.shape, size: mark.size };
    }

    showDots() {
      const priorities = this.clips.id.map((_, clip) => (this.isActive(clip) ? 2 : 0) + (this.player.has(clip) ? 1 : 0));
      const dots = [0, 1, 2, 3].flatMap((wanted) =>
        priorities.flatMap((priority, clip) => (priority === wanted ? [this.dot(clip)] : [])));
      for (const panel of this.panels) panel.show("dots", dots);
    }

    // Show the ranks of neighbors, and the names of classes that are not covered by a rank.
    showText() {
      const near = this.chosen === null ? [] : this.clips.near[this.chosen];
      const ranks = near.map((clip, rank) => this.rank(clip, rank));
      const names = this.names().filter((name) => !ranks.some((rank) => this.panels[rank.panel].covers(rank, name)));
      for (const panel of this.panels) {
        panel.show("names", names);
        panel.show("ranks", ranks);
      }
    }

    names() {
      const { text, card } = this.colors;
      const colors = { fill: text, halo: card };
      return (this.encoding?.names ?? []).flatMap((ofPanel, panel) => ofPanel
        .filter(([, index]) => this.picked === null || index === this.picked)
        .map(([name, , x, y]) => ({ text: name, panel, x, y, ...colors })));
    }

    showRings() {
      const { chosen, pointed, colors } = this;
      const rings = [];
      const ring = (clip, [size, strokeWidth], stroke) => rings.push({ ...this.place(clip), size, strokeWidth, stroke });
      const near = chosen === null ? [] : this.clips.near[chosen];
      for (const clip of near) ring(clip, RINGS.near, colors.text);
      if (chosen !== null) ring(chosen, RINGS.chosen, colors.text);
      if (pointed !== null) ring(pointed, RINGS.pointed, colors.accent);
      for (const panel of this.panels) panel.show("rings", rings);
    }

    // Return the rank of a neighbor beside its dot, each in another direction because neighbors often lie together.
    rank(clip, rank) {
      const { text, card } = this.colors;
      const turn = (rank / this.clips.near[this.chosen].length) * 2 * Math.PI;
      const distance = (15 / this.panels[0].size()[0]) * 2 * this.data.extent[0];
      const { x, y, panel } = this.place(clip);
      const [right, up] = [distance * Math.sin(turn), distance * Math.cos(turn)];
      return { x: x + right, y: y + up, panel, text: String(rank + 1), fill: text, halo: card };
    }

    place(clip) {
      return { x: this.clips.x[clip], y: this.clips.y[clip], panel: this.clips.panel[clip] };
    }

    showLegend() {
      const { encoding } = this;
      const buttons = (encoding?.classes ?? []).map((mark, index) =>
        make("button", { type: "button", "aria-pressed": "false", onclick: () => this.pick(index) },
          symbol(mark, this.color(mark)), make("span", { class: "map-class", title: mark.name }, mark.name),
          make("span", {}, String(mark.clips))));
      const singly = encoding && encoding.kind !== "tags"; // all dots are gray while no tag is selected
      const without = singly ? encoding.members.filter((classes) => !classes.length).length : 0;
      const rest = without ? [make("p", {}, `${without.toLocaleString("en")} gray dots have no label ${encoding.name}.`)] : [];
      const tags = encoding?.kind === "tags" ? [make("p", {}, "Select a tag to show its clips as diamonds.")] : [];
      this.legend.replaceChildren(...tags, ...buttons, ...rest);
      this.legend.dataset.kind = encoding?.kind ?? "";
      this.markPicked();
    }

    markPicked() {
      this.legend.querySelectorAll("button").forEach((button, index) => {
        button.setAttribute("aria-pressed", String(index === this.picked));
      });
    }

    showCard() {
      const clip = this.pointed;
      this.card.hidden = clip === null;
      if (clip === null) return;
      const labels = this.labels(clip).map(([name, label]) => make("span", {}, `${name}: ${label}`));
      this.card.replaceChildren(this.pictures.canvas(clip, ""), make("strong", {}, this.clips.id[clip]),
        make("span", {}, this.split(clip)), ...labels);
      this.moveCard(this.panels[this.clips.panel[clip]], clip);
    }

    moveCard(panel, clip) {
      const [x, y] = panel.pixels(clip);
      const [outer, plot] = [this.element.getBoundingClientRect(), panel.plot.getBoundingClientRect()];
      const [left, top] = [plot.left - outer.left + x, plot.top - outer.top + y];
      const { offsetWidth: width, offsetHeight: height } = this.card;
      const beside = this.freeSide(panel, clip, width, height);
      this.card.style.left = `${Math.max(0, Math.min(outer.width - width, beside))}px`;
      this.card.style.top = `${plot.top + y + height + 18 > window.innerHeight ? top - height - 14 : top + 14}px`;
    }

    // Return the left edge of the card, on the side of a clip where it covers fewer of its neighbors.
    freeSide(panel, clip, width, height) {
      const [x, y] = panel.pixels(clip);
      const left = panel.plot.getBoundingClientRect().left - this.element.getBoundingClientRect().left + x;
      const sides = [left + 18, left - 18 - width].filter((edge) => edge >= 0 && edge + width <= this.element.clientWidth);
      const covered = (edge) => this.clips.near[clip].filter((other) => {
        if (this.clips.panel[other] !== panel.index) return false;
        const [dx, dy] = [panel.pixels(other)[0] - x + left - edge, panel.pixels(other)[1] - y];
        return dx > 0 && dx < width && Math.abs(dy) < height;
      }).length;
      return sides.sort((first, second) => covered(first) - covered(second))[0] ?? left + 18;
    }

    showDetails() {
      const clip = this.chosen;
      this.details.classList.toggle("empty", clip === null);
      if (clip === null) {
        this.details.replaceChildren(make("p", {}, "No clip selected. Click a dot, or move to a dot with the arrow keys and press Enter."));
        return;
      }
      this.details.replaceChildren(this.about(clip), this.nearest(clip));
      this.showPlayer();
    }

    about(clip) {
      const piece = this.data.grouped && this.clips.group[clip];
      const properties = [["split", this.split(clip)], ["piece", piece], ...this.labels(clip)];
      const list = make("dl", {}, ...properties.filter(([, value]) => value).flatMap(([name, value]) =>
        [make("dt", {}, name), make("dd", {}, value)]));
      this.playButton = make("button", { type: "button", class: "map-play", hidden: !this.player.has(clip),
        onclick: () => (this.player.clip === clip ? this.player.stop() : this.player.play(clip)) });
      return make("div", { class: "map-about" },
        make("h3", { tabindex: "-1" }, this.clips.id[clip]),
        this.pictures.canvas(clip, `Mel spectrogram of ${this.clips.id[clip]}`), this.playButton, list);
    }

    showPlayer(message = "") {
      if (message) this.status.textContent = message;
      if (this.playButton) this.playButton.textContent = this.player.clip === this.chosen ? "■ Stop" : "▶ Play";
    }

    nearest(clip) {
      const { near, same, id, group } = this.clips;
      const items = near[clip].map((other, rank) => make("li", {}, this.neighbor(clip, other, rank)));
      const count = Math.min(this.data.neighbors, id.length - 1);
      const belongs = same[clip] === 1 ? "belongs" : "belong";
      const own = `${same[clip]} of the ${count} nearest clips of all ${belongs} to the same piece.`;
      const alone = !group[clip] || group.indexOf(group[clip]) === group.lastIndexOf(group[clip]);
      const title = this.data.grouped ? "Nearest clips of other pieces" : "Nearest clips";
      return make("div", { class: "map-near" }, make("h3", {}, title),
        items.length ? make("ol", {}, ...items) : make("p", {}, "There are no other pieces on this map."),
        make("p", { class: "quiet" }, alone ? "" : own));
    }

    neighbor(clip, other, rank) {
      const cosine = this.clips.cosine[clip][rank].toFixed(2);
      const shown = this.labels(other).filter(([name]) => name === this.encoding?.name).map(([, label]) => label);
      return make("button", { type: "button", onclick: () => this.jump(other),
        onpointerenter: () => this.point(other), onpointerleave: () => this.point(null) },
      make("b", {}, String(rank + 1)), this.pictures.canvas(other, ""),
      make("span", {}, make("strong", {}, this.clips.id[other]),
        make("small", {}, [`cosine ${cosine}`, this.split(other), ...shown].join(" · "))));
    }
  }

  return {
    mount(element, data, theme) {
      const map = new EmbeddingMap(element, data, theme);
      return { theme: (next) => map.theme(next), ready: () => map.ready };
    },
  };
})();
