// The moving parts of a report: the 3-D view, its legend and the slider over frames.
// A canvas of two dimensions and no library: it works in any browser, also without a graphics card,
// and the page stays small. Atoms are drawn from back to front as pictures of shaded balls.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const NOTHING = 255; // a value that is not known

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

class View {
  constructor(scene, canvas) {
    this.scene = scene;
    this.canvas = canvas;
    this.tip = document.getElementById("tip");
    this.choice = document.getElementById("coloring");
    this.cut = document.getElementById("cut");
    this.hidden = new Set();
    this.sprites = new Map();
    this.low = scene.low;
    this.high = scene.high;
    this.middle = this.low.map((x, i) => (x + this.high[i]) / 2);
    this.reach = Math.hypot(...this.low.map((x, i) => this.high[i] - x)) / 2 + 2 * scene.radius;
    for (const frame of scene.frames)
      if (frame.cell) for (const corner of this.corners(frame)) this.reach = Math.max(this.reach, Math.hypot(...corner));
    this.frames = scene.frames.map((frame) => this.decoded(frame));
    this.number = this.frames.length - 1;
    this.reset();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.legend();
  }

  decoded(frame) {
    const raw = bytes(frame.positions);
    const places = new Uint16Array(raw.buffer);
    const positions = new Float32Array(places.length);
    for (let i = 0; i < places.length; i++) {
      const axis = i % 3;
      positions[i] = this.low[axis] + (places[i] / 65535) * (this.high[axis] - this.low[axis]) - this.middle[axis];
    }
    const values = {};
    for (const [name, text] of Object.entries(frame.values)) values[name] = bytes(text);
    const atoms = frame.atoms ? new Uint32Array(bytes(frame.atoms).buffer) : null;
    return { positions, values, atoms, count: places.length / 3, corner: frame.corner, cell: frame.cell };
  }

  reset() {
    this.turn = [1, 0, 0, 0, 0, 1, 0, -1, 0]; // rows: right, up, to the eye; z is up
    this.spin(0.5, 0);
    this.spin(0, 0.3);
    this.zoom = 1;
    this.shift = [0, 0];
  }

  // Turn by angles about the vertical and the horizontal axis of the screen.
  spin(vertical, horizontal) {
    for (const [i, angle] of [[0, vertical], [1, horizontal]]) {
      const c = Math.cos(angle), s = Math.sin(angle), m = this.turn;
      for (let k = 0; k < 3; k++) {
        const a = m[3 * i + k], b = m[6 + k];
        m[3 * i + k] = c * a - s * b;
        m[6 + k] = s * a + c * b;
      }
    }
  }

  coloring() { return this.scene.colorings[this.choice.value]; }

  // Picture of a shaded ball of one colour.
  sprite(color) {
    if (!this.sprites.has(color)) {
      const size = 48, ball = document.createElement("canvas");
      ball.width = ball.height = size;
      const pen = ball.getContext("2d");
      pen.fillStyle = color;
      pen.beginPath();
      pen.arc(size / 2, size / 2, size / 2 - 1, 0, 2 * Math.PI);
      pen.fill();
      const light = pen.createRadialGradient(size * 0.36, size * 0.32, 1, size / 2, size / 2, size / 2);
      light.addColorStop(0, "rgba(255,255,255,.55)");
      light.addColorStop(0.45, "rgba(255,255,255,.05)");
      light.addColorStop(1, "rgba(0,0,0,.42)");
      pen.fillStyle = light;
      pen.fill();
      this.sprites.set(color, ball);
    }
    return this.sprites.get(color);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const pen = this.canvas.getContext("2d"), m = this.turn, frame = this.frames[this.number];
    pen.clearRect(0, 0, width, height);
    const scale = (this.zoom * Math.min(width, height)) / (2.1 * this.reach);
    const left = width / 2 + this.shift[0] * ratio, top = height / 2 + this.shift[1] * ratio;
    const far = 4 * this.reach; // distance of the eye
    const n = frame.count, p = frame.positions;
    const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n), size = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const a = p[3 * i], b = p[3 * i + 1], c = p[3 * i + 2];
      z[i] = m[6] * a + m[7] * b + m[8] * c;
      const s = (scale * far) / (far - z[i]);
      x[i] = left + s * (m[0] * a + m[1] * b + m[2] * c);
      y[i] = top - s * (m[3] * a + m[4] * b + m[5] * c);
      size[i] = s * this.scene.radius;
    }
    this.box(pen, frame, left, top, scale, far);
    const order = this.byDepth(z), colors = this.coloring().colors, values = frame.values[this.choice.value];
    const kept = n - Math.round((Number(this.cut.value) / 100) * n);
    const drawn = [];
    for (let k = 0; k < kept; k++) {
      const i = order[k], value = values[i];
      if (this.hidden.has(value)) continue;
      const r = size[i];
      pen.drawImage(this.sprite(value === NOTHING ? "#b5b5b5" : colors[value]), x[i] - r, y[i] - r, 2 * r, 2 * r);
      drawn.push(i);
    }
    this.last = { drawn, x, y, size, ratio };
    this.canvas.dataset.drawn = drawn.length;
    this.canvas.dataset.frame = this.number;
  }

  // Numbers of the atoms from the hindmost to the foremost, by counting.
  byDepth(z) {
    const bins = 2048, counts = new Uint32Array(bins + 1), where = new Uint16Array(z.length);
    for (let i = 0; i < z.length; i++) {
      where[i] = Math.min(bins - 1, Math.max(0, ((z[i] / this.reach + 1) / 2) * bins));
      counts[where[i] + 1]++;
    }
    for (let b = 0; b < bins; b++) counts[b + 1] += counts[b];
    const order = new Uint32Array(z.length);
    for (let i = 0; i < z.length; i++) order[counts[where[i]]++] = i;
    return order;
  }

  // Corners of the box, from the middle of the view.
  corners(frame) {
    return Array.from({ length: 8 }, (_, k) => [0, 1, 2].map((axis) => frame.corner[axis] - this.middle[axis] +
      [0, 1, 2].reduce((sum, e) => sum + ((k >> e) & 1) * frame.cell[e][axis], 0)));
  }

  box(pen, frame, left, top, scale, far) {
    if (!frame.cell) return;
    const m = this.turn, corners = [];
    for (const v of this.corners(frame)) {
      const z = m[6] * v[0] + m[7] * v[1] + m[8] * v[2], s = (scale * far) / (far - z);
      corners.push([left + s * (m[0] * v[0] + m[1] * v[1] + m[2] * v[2]), top - s * (m[3] * v[0] + m[4] * v[1] + m[5] * v[2])]);
    }
    pen.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--soft");
    pen.lineWidth = window.devicePixelRatio || 1;
    pen.beginPath();
    for (let k = 0; k < 8; k++) for (let e = 0; e < 3; e++) if (!((k >> e) & 1)) {
      pen.moveTo(...corners[k]);
      pen.lineTo(...corners[k | (1 << e)]);
    }
    pen.stroke();
  }

  said(name, value) {
    const coloring = this.scene.colorings[name];
    if (value === NOTHING) return `${name}: not known`;
    if (coloring.names) return `${name}: ${coloring.names[value]}`;
    const number = coloring.low + (value / 254) * (coloring.high - coloring.low);
    return `${name}: ${number.toPrecision(2)} ${coloring.unit}`.trim();
  }

  hover(event) {
    this.tip.hidden = true;
    if (!this.last || event.buttons) return;
    const { drawn, x, y, size, ratio } = this.last;
    const at = [event.offsetX * ratio, event.offsetY * ratio], frame = this.frames[this.number];
    for (let k = drawn.length - 1; k >= 0; k--) {
      const i = drawn[k];
      if (Math.hypot(x[i] - at[0], y[i] - at[1]) > size[i]) continue;
      const lines = Object.keys(frame.values).map((name) => this.said(name, frame.values[name][i]));
      if (frame.atoms) lines.unshift(`${this.scene.what} ${frame.atoms[i]}`);
      this.tip.textContent = lines.join("\n");
      this.tip.hidden = false;
      const stage = this.canvas.parentElement;
      this.tip.style.left = `${Math.min(event.offsetX + 14, stage.clientWidth - this.tip.offsetWidth - 4)}px`;
      this.tip.style.top = `${Math.max(4, Math.min(event.offsetY + 14, stage.clientHeight - this.tip.offsetHeight - 4))}px`;
      return;
    }
  }

  listen() {
    const canvas = this.canvas, fingers = new Map();
    canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); });
    const up = (e) => fingers.delete(e.pointerId);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("pointermove", (e) => {
      const before = fingers.get(e.pointerId);
      if (!before) return this.hover(e);
      this.tip.hidden = true;
      const dx = e.clientX - before[0], dy = e.clientY - before[1];
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== e.pointerId)[1];
        const old = Math.hypot(before[0] - other[0], before[1] - other[1]);
        this.zoomBy(Math.hypot(e.clientX - other[0], e.clientY - other[1]) / Math.max(old, 1));
      } else if (e.shiftKey || e.buttons === 2) {
        this.shift = [this.shift[0] + dx, this.shift[1] + dy];
      } else {
        this.spin(-dx / 160, -dy / 160);
      }
      fingers.set(e.pointerId, [e.clientX, e.clientY]);
      this.draw();
    });
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.zoomBy(Math.exp(-e.deltaY / 600)); this.draw(); }, { passive: false });
    canvas.addEventListener("dblclick", () => { this.reset(); this.draw(); });
    canvas.addEventListener("keydown", (e) => {
      const step = 0.12;
      const does = {
        ArrowLeft: () => this.spin(step, 0), ArrowRight: () => this.spin(-step, 0),
        ArrowUp: () => this.spin(0, step), ArrowDown: () => this.spin(0, -step),
        "+": () => this.zoomBy(1.15), "-": () => this.zoomBy(1 / 1.15), "0": () => this.reset(),
      }[e.key];
      if (does) { e.preventDefault(); does(); this.draw(); }
    });
    this.choice.addEventListener("change", () => { this.hidden.clear(); this.legend(); this.draw(); });
    this.cut.addEventListener("input", () => this.draw());
    // Paper is white, whatever the screen is.
    window.addEventListener("beforeprint", () => this.paint());
    window.addEventListener("afterprint", () => this.draw());
    matchMedia("print").addEventListener("change", () => this.paint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  zoomBy(factor) { this.zoom = Math.min(40, Math.max(0.2, this.zoom * factor)); }

  // Of classes, one button each that hides them; of a number, its scale.
  legend() {
    const place = document.getElementById("legend"), coloring = this.coloring();
    place.replaceChildren();
    if (!coloring.names) {
      const bar = document.createElement("div"), ends = document.createElement("div");
      bar.className = "bar";
      bar.style.background = `linear-gradient(to right, ${coloring.colors.filter((_, i) => i % 16 === 0).join(",")})`;
      ends.className = "ends";
      for (const value of [coloring.low, coloring.high]) {
        const end = document.createElement("span");
        end.textContent = `${Number(value.toPrecision(3))} ${coloring.unit}`;
        ends.append(end);
      }
      place.append(bar, ends);
      return;
    }
    const frames = this.frames, name = this.choice.value;
    const present = new Set(frames.flatMap((frame) => [...new Set(frame.values[name])]));
    for (const index of [...present].sort((a, b) => a - b)) {
      const button = document.createElement("button"), swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = index === NOTHING ? "#b5b5b5" : coloring.colors[index];
      button.type = "button";
      button.append(swatch, index === NOTHING ? "not known" : coloring.names[index]);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        if (this.hidden.delete(index)) button.setAttribute("aria-pressed", "true");
        else { this.hidden.add(index); button.setAttribute("aria-pressed", "false"); }
        this.draw();
      });
      place.append(button);
    }
  }
}

const canvas = document.getElementById("view");
const view = canvas && data.scene ? new View(data.scene, canvas) : null;

function show(number) {
  if (view) { view.number = number; view.draw(); }
  for (const part of document.querySelectorAll("[data-frame]"))
    if (part !== canvas) part.hidden = Number(part.dataset.frame) !== number;
  for (const line of document.querySelectorAll(".cursor")) {
    line.setAttribute("x1", data.cursor[number]);
    line.setAttribute("x2", data.cursor[number]);
  }
}

const slider = document.getElementById("frame");
if (slider) {
  slider.addEventListener("input", () => show(Number(slider.value)));
  const play = document.getElementById("play");
  let timer = null;
  play.addEventListener("click", () => {
    if (timer) { clearInterval(timer); timer = null; play.textContent = "Play"; return; }
    play.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % data.cursor.length;
      show(Number(slider.value));
    }, 400);
  });
  // A click in the curves goes to the nearest frame that is shown.
  for (const chart of document.querySelectorAll("svg.over-frames"))
    chart.addEventListener("click", (e) => {
      const box = chart.getBoundingClientRect();
      const at = ((e.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
      const gaps = data.cursor.map((x) => Math.abs(x - at));
      slider.value = gaps.indexOf(Math.min(...gaps));
      show(Number(slider.value));
    });
}
if (data.cursor) show(data.cursor.length - 1);
else if (view) view.draw();
document.documentElement.dataset.ready = "yes";
