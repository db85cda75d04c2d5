// The map of clips: a legend that filters, panels of dots, and what is known of the clip that is pointed at or chosen.
window.mynaMap = (() => {
  "use strict";

  const { make, symbol, Pictures, Player, Panel } = window.mynaParts;
  const FADED = 0.1;
  const RINGS = { near: [150, 1.6], pointed: [210, 2.4], chosen: [330, 2.8] }; // area, width

  class EmbeddingMap {
    constructor(element, data, theme) {
      Object.assign(this, { element, data, clips: data.clips, task: 0, picked: null, pointed: null, chosen: null });
      this.pictures = new Pictures(data.pictures);
      this.player = new Player(data.sound, (trouble) => this.showPlayer(trouble));
      this.panels = data.panels.map((_, number) => new Panel(number, this));
      this.build();
      this.theme(theme);
    }

    get colouring() {
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
      this.showDetails();
    }

    controls() {
      const options = this.data.tasks.map(({ name }, number) => make("option", { value: number }, name));
      const select = make("select", { onchange: () => this.colourBy(Number(select.value)) }, ...options);
      const label = make("label", { class: "map-task", hidden: !options.length }, "Colour by ", select);
      const heard = Object.keys(this.data.sound).length;
      const hint = make("span", { class: "map-hint", hidden: !heard }, `Outlined dots have sound (${heard})`);
      return make("div", { class: "map-controls" }, label, hint);
    }

    // What happens

    theme(theme) {
      this.dark = theme.dark;
      const style = getComputedStyle(this.element);
      this.colours = Object.fromEntries(["text", "muted", "card", "accent"].map((one) =>
        [one, style.getPropertyValue(`--${one}`).trim()]));
      this.showLegend();
      // one theme after the other, so that the last one stays
      this.ready = Promise.resolve(this.ready).then(() => Promise.all(this.panels.map((panel) => panel.embed(theme))));
      this.ready = this.ready.then(() => this.showAll());
    }

    colourBy(task) {
      [this.task, this.picked] = [task, null];
      this.point(null);
      this.showLegend();
      this.showAll();
      this.showDetails();
    }

    pick(which) {
      this.picked = this.picked === which ? null : which;
      this.markPicked();
      this.showDots();
      this.showWords();
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
      this.showWords();
      this.showDetails();
    }

    jump(clip) {
      if (!this.standsOut(clip)) this.pick(null); // the filter would hide it
      this.choose(clip);
      this.details.querySelector("h3").focus({ preventScroll: true });
    }

    clear() {
      this.player.stop();
      [this.picked, this.pointed, this.chosen] = [null, null, null];
      this.markPicked();
      this.showAll();
      this.showCard();
      this.showDetails();
      this.status.textContent = "Cleared";
    }

    // What is known of a clip

    standsOut(clip) {
      return this.picked === null || this.colouring.members[clip].includes(this.picked);
    }

    split(clip) {
      return this.data.panels[this.clips.panel[clip]].title;
    }

    labels(clip) {
      return this.data.tasks.map((task) => {
        const said = task.values?.[clip] ?? task.members[clip].map((one) => task.classes[one].name).join(", ");
        return [task.name, said];
      }).filter(([, said]) => said);
    }

    sentence(clip) {
      const labels = this.labels(clip).map(([name, said]) => `${name} ${said}`);
      const sound = this.player.has(clip) ? ["has sound"] : [];
      return [this.clips.id[clip], this.split(clip), ...labels, ...sound].join(", ");
    }

    colour(look) {
      return look.colours[this.dark ? 1 : 0];
    }

    // What is shown

    showAll() {
      this.showDots();
      this.showRings();
      this.showWords();
    }

    dot(clip) {
      const { colouring, picked } = this;
      const members = colouring?.members[clip] ?? [];
      const which = picked !== null && members.includes(picked) ? picked : members[0];
      const plain = which === undefined || (colouring.kind === "tags" && which !== picked);
      const look = plain ? { shape: "circle", size: 26, colours: this.data.plain } : colouring.classes[which];
      const fill = this.colour(look);
      const opacity = this.standsOut(clip) ? (plain ? 0.55 : 0.85) : FADED;
      const stroke = this.player.has(clip) ? this.colours.text : fill;
      const { x, y, panel } = this.clips;
      return { x: x[clip], y: y[clip], panel: panel[clip], fill, stroke, opacity, shape: look.shape, size: look.size };
    }

    showDots() {
      const order = this.clips.id.map((_, clip) => clip);
      const front = (clip) => (this.standsOut(clip) ? 2 : 0) + (this.player.has(clip) ? 1 : 0);
      const dots = order.sort((one, other) => front(one) - front(other) || one - other).map((clip) => this.dot(clip));
      for (const panel of this.panels) panel.show("dots", dots);
    }

    // Numbers of neighbours, and names of classes where these do not lie under one.
    showWords() {
      const near = this.chosen === null ? [] : this.clips.near[this.chosen];
      const ranks = near.map((clip, rank) => this.rank(clip, rank));
      const names = this.names().filter((name) => !ranks.some((rank) => this.panels[rank.panel].covers(rank, name)));
      for (const panel of this.panels) {
        panel.show("names", names);
        panel.show("ranks", ranks);
      }
    }

    names() {
      const { text, card } = this.colours;
      const words = { fill: text, halo: card };
      return (this.colouring?.names ?? []).flatMap((of, panel) => of
        .filter(([, which]) => this.picked === null || which === this.picked)
        .map(([name, , x, y]) => ({ text: name, panel, x, y, ...words })));
    }

    showRings() {
      const { chosen, pointed, colours } = this;
      const rings = [];
      const ring = (clip, [size, strokeWidth], stroke) => rings.push({ ...this.place(clip), size, strokeWidth, stroke });
      const near = chosen === null ? [] : this.clips.near[chosen];
      for (const clip of near) ring(clip, RINGS.near, colours.text);
      if (chosen !== null) ring(chosen, RINGS.chosen, colours.text);
      if (pointed !== null) ring(pointed, RINGS.pointed, colours.accent);
      for (const panel of this.panels) panel.show("rings", rings);
    }

    // The number of a neighbour, beside its dot; in another direction for each, as near ones often lie together.
    rank(clip, rank) {
      const { text, card } = this.colours;
      const turn = (rank / this.clips.near[this.chosen].length) * 2 * Math.PI;
      const far = (15 / this.panels[0].size()[0]) * 2 * this.data.reach[0];
      const { x, y, panel } = this.place(clip);
      const [right, up] = [far * Math.sin(turn), far * Math.cos(turn)];
      return { x: x + right, y: y + up, panel, text: String(rank + 1), fill: text, halo: card };
    }

    place(clip) {
      return { x: this.clips.x[clip], y: this.clips.y[clip], panel: this.clips.panel[clip] };
    }

    showLegend() {
      const { colouring } = this;
      const buttons = (colouring?.classes ?? []).map((look, which) =>
        make("button", { type: "button", "aria-pressed": "false", onclick: () => this.pick(which) },
          symbol(look, this.colour(look)), make("span", { class: "map-class", title: look.name }, look.name),
          make("span", {}, String(look.clips))));
      const singly = colouring && colouring.kind !== "tags"; // without a tag picked all dots are grey
      const without = singly ? colouring.members.filter((classes) => !classes.length).length : 0;
      const rest = without ? [make("p", {}, `${without.toLocaleString("en")} grey dots carry no ${colouring.name}.`)] : [];
      const tags = colouring?.kind === "tags" ? [make("p", {}, "Choose a tag: its clips become diamonds.")] : [];
      this.legend.replaceChildren(...tags, ...buttons, ...rest);
      this.legend.dataset.kind = colouring?.kind ?? "";
      this.markPicked();
    }

    markPicked() {
      this.legend.querySelectorAll("button").forEach((button, which) => {
        button.setAttribute("aria-pressed", String(which === this.picked));
      });
    }

    showCard() {
      const clip = this.pointed;
      this.card.hidden = clip === null;
      if (clip === null) return;
      const labels = this.labels(clip).map(([name, said]) => make("span", {}, `${name}: ${said}`));
      this.card.replaceChildren(this.pictures.canvas(clip, ""), make("strong", {}, this.clips.id[clip]),
        make("span", {}, this.split(clip)), ...labels);
      this.moveCard(this.panels[this.clips.panel[clip]], clip);
    }

    moveCard(panel, clip) {
      const [x, y] = panel.pixels(clip);
      const [outer, plot] = [this.element.getBoundingClientRect(), panel.plot.getBoundingClientRect()];
      const [left, top] = [plot.left - outer.left + x, plot.top - outer.top + y];
      const { offsetWidth: width, offsetHeight: height } = this.card;
      const beside = left + 18 + width > outer.width ? left - 18 - width : left + 18;
      this.card.style.left = `${Math.max(0, Math.min(outer.width - width, beside))}px`;
      this.card.style.top = `${plot.top + y + height + 18 > window.innerHeight ? top - height - 14 : top + 14}px`;
    }

    showDetails() {
      const clip = this.chosen;
      this.details.classList.toggle("empty", clip === null);
      if (clip === null) {
        this.details.replaceChildren(make("p", {}, "No clip chosen. Click a dot, or move to one with the arrow keys and press Enter."));
        return;
      }
      this.details.replaceChildren(this.about(clip), this.nearest(clip));
      this.showPlayer();
    }

    about(clip) {
      const piece = this.data.grouped && this.clips.group[clip];
      const facts = [["split", this.split(clip)], ["piece", piece], ...this.labels(clip)];
      const list = make("dl", {}, ...facts.filter(([, said]) => said).flatMap(([name, said]) =>
        [make("dt", {}, name), make("dd", {}, said)]));
      this.playButton = make("button", { type: "button", class: "map-play", hidden: !this.player.has(clip),
        onclick: () => (this.player.clip === clip ? this.player.stop() : this.player.play(clip)) });
      return make("div", { class: "map-about" },
        make("h3", { tabindex: "-1" }, this.clips.id[clip]),
        this.pictures.canvas(clip, `Mel spectrogram of ${this.clips.id[clip]}`), this.playButton, list);
    }

    showPlayer(trouble = "") {
      if (trouble) this.status.textContent = trouble;
      if (this.playButton) this.playButton.textContent = this.player.clip === this.chosen ? "■ Stop" : "▶ Play";
    }

    nearest(clip) {
      const { near, same, id, group } = this.clips;
      const items = near[clip].map((other, rank) => make("li", {}, this.neighbour(clip, other, rank)));
      const count = Math.min(this.data.neighbours, id.length - 1);
      const own = `${same[clip]} of its ${count} nearest clips of all ${same[clip] === 1 ? "is" : "are"} of the same piece.`;
      const alone = !group[clip] || group.indexOf(group[clip]) === group.lastIndexOf(group[clip]);
      const title = this.data.grouped ? "Most like it, of other pieces" : "Most like it";
      return make("div", { class: "map-near" }, make("h3", {}, title),
        items.length ? make("ol", {}, ...items) : make("p", {}, "There are no other pieces on this map."),
        make("p", { class: "quiet" }, alone ? "" : own));
    }

    neighbour(clip, other, rank) {
      const cosine = this.clips.cosine[clip][rank].toFixed(2);
      const shown = this.labels(other).filter(([name]) => name === this.colouring?.name).map(([, said]) => said);
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
