// The emotion over time, drawn by hand or chosen for the whole: text as `--emotion` takes it (xactor_jax/emotion.py).

const STEP = 0.2; // seconds
const LEVELS = 20; // steps of intensity
const COLOURS = ["#8b8b8b", "#e5a50a", "#3584e4", "#e01b24", "#c061cb", "#26a269", "#865e3c", "#ff7800"];

export class Track {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.emotions = [];
    this.emotion = "";
    this.reset(10);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.paint(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.paint(event));
  }

  // An empty track of that length.
  reset(seconds = this.seconds) {
    this.seconds = Math.min(Math.max(seconds, STEP), 600);
    this.cells = new Array(Math.ceil(this.seconds / STEP)).fill(null);
    this.show();
  }

  paint(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const cell = Math.max(0, Math.min(this.cells.length - 1, Math.floor(share * this.cells.length)));
    const height = 1 - (event.clientY - box.top) / box.height;
    const intensity = Math.round(Math.max(0, Math.min(1, height)) * LEVELS) / LEVELS;
    const from = this.last ?? cell; // a quick stroke skips cells: they are filled
    for (let i = Math.min(from, cell); i <= Math.max(from, cell); i++)
      this.cells[i] = this.emotion ? { emotion: this.emotion, intensity } : null;
    this.last = cell;
    this.show();
  }

  // Neighbouring cells of one emotion and intensity are one segment. The last one lasts to the end of the recording.
  text() {
    const segments = [];
    this.cells.forEach((cell, i) => {
      const last = segments.at(-1);
      if (!cell) return;
      if (last && last.end === i && last.emotion === cell.emotion && last.intensity === cell.intensity) last.end = i + 1;
      else segments.push({ ...cell, start: i, end: i + 1 });
    });
    const seconds = (i) => String(Math.round(i * STEP * 10) / 10);
    const end = (i) => (i === this.cells.length ? "" : seconds(i));
    return segments.map((s) => `${s.emotion}@${s.intensity}:${seconds(s.start)}-${end(s.end)}`).join(",");
  }

  show() {
    const { width, height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    this.cells.forEach((cell, i) => {
      if (!cell) return;
      pen.fillStyle = COLOURS[this.emotions.indexOf(cell.emotion) % COLOURS.length];
      const top = height * (1 - Math.max(cell.intensity, 0.02));
      pen.fillRect((i * width) / this.cells.length, top, width / this.cells.length + 1, height - top);
    });
    pen.fillStyle = "#888";
    pen.font = "11px system-ui";
    const tick = [1, 2, 5, 10, 30, 60, 120].find((step) => this.seconds / step <= 12);
    for (let s = 0; s < this.seconds; s += tick) pen.fillText(`${s} s`, (s * width) / this.seconds + 2, 11);
    this.changed(this.text());
  }
}
