// The mel and the sound of clips on the map.
window.mynaMapClasses ??= {};
(() => {
  "use strict";

  const { make } = window.mynaMapClasses;

  // Pictures of mels, cut out of sheets with a few hundred each. A sheet is decoded when its first picture is shown.
  class Pictures {
    constructor({ width, height, columns, sheet, sheets, clips }) {
      Object.assign(this, { width, height, columns, sheet, sheets, images: new Map() });
      this.places = clips && new Map(clips.map((clip, place) => [clip, place])); // null if all clips have pictures
    }

    image(index) {
      if (!this.images.has(index)) {
        const image = new Image();
        image.src = this.sheets[index];
        this.images.set(index, image.decode().then(() => image));
      }
      return this.images.get(index);
    }

    canvas(clip, description) {
      const { width, height } = this;
      return this.draw(make("canvas", { width, height, role: "img", "aria-label": description }), clip);
    }

    draw(canvas, clip) {
      canvas.dataset.clip = clip;
      const place = this.places ? this.places.get(clip) : clip;
      if (place === undefined) {
        canvas.hidden = true;
        return canvas;
      }
      const index = place % this.sheet;
      const left = (index % this.columns) * this.width;
      const top = Math.floor(index / this.columns) * this.height;
      this.image(Math.floor(place / this.sheet)).then((image) => {
        if (canvas.dataset.clip !== String(clip)) return; // the canvas shows another clip by now
        const size = [this.width, this.height];
        canvas.getContext("2d").drawImage(image, left, top, ...size, 0, 0, ...size);
        canvas.dataset.drawn = clip;
      });
      return canvas;
    }
  }

  // Plays the sound of one clip at a time.
  class Player {
    constructor(sound, changed) {
      this.sound = sound;
      this.changed = changed;
      this.clip = null;
      this.element = make("audio", { preload: "auto", onended: () => this.stop(), onerror: () => this.fail() });
    }

    has(clip) {
      return clip !== null && String(clip) in this.sound;
    }

    play(clip) {
      this.clip = clip;
      this.element.src = this.sound[clip];
      // a browser may forbid automatic playback, but the button still works
      this.element.play().catch(() => this.clip === clip && this.stop());
      this.changed();
    }

    fail() {
      this.stop();
      this.changed("This browser cannot play the sound.");
    }

    stop() {
      if (this.clip === null) return;
      this.clip = null;
      this.element.pause();
      this.changed();
    }
  }

  Object.assign(window.mynaMapClasses, { Pictures, Player });
})();
