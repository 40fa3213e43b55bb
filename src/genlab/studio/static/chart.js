// Curves: one cursor for all charts of a page, zoom by dragging, smoothing that says that it is on.
import { fill, h, number } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (k) => getComputedStyle(document.documentElement).getPropertyValue(`--c${(k % 7) + 1}`).trim();
const soft = () => getComputedStyle(document.documentElement).getPropertyValue("--soft").trim();
const line = () => getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
const paper = () => getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
const DASHES = [[], [8, 4], [2, 4], [10, 4, 2, 4]];

// Exponential moving average over steps. Null, a value that is not finite, breaks a line; undefined, a step at which
// nothing was measured, does not.
export function smoothed(values, strength) {
  if (!strength) return values;
  let mean = null;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    mean = mean === null ? value : strength * mean + (1 - strength) * value;
    return mean;
  });
}

// One set of positions for curves that were measured at different steps.
export function joined(lines) {
  const places = [...new Set(lines.flatMap((each) => each.x))].sort((a, b) => a - b);
  const at = new Map(places.map((x, k) => [x, k]));
  return [places, ...lines.map((each) => {
    const y = new Array(places.length).fill(undefined);
    each.x.forEach((x, k) => { y[at.get(x)] = each.y[k]; });
    return y;
  })];
}

export class Chart {
  // about: {title, caption, y_label, log, levels}; lines: [{label, x, y, block}]
  constructor(about, { onStep, onZoom, sync } = {}) {
    this.about = about;
    this.onStep = onStep;
    this.onZoom = onZoom;
    this.sync = sync || "charts";
    this.lines = [];
    this.strength = 0;
    this.step = null;
    this.legend = h("div", { class: "legend" });
    this.place = h("div", { role: "img", tabindex: "0", "aria-label": `${about.title}: a chart; arrow keys move its cursor, Enter goes to that step`, onkeydown: (event) => this.key(event) });
    this.note = h("p", { class: "small" });
    this.element = h("div", { class: "chart" }, h("h3", {}, about.title), this.legend, this.place, this.note);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.element);
    this.repaint = () => this.draw();
    dark.addEventListener("change", this.repaint);
  }

  set(lines) {
    this.lines = lines;
    this.draw();
  }

  smooth(strength) {
    this.strength = strength;
    this.draw();
  }

  mark(step) {
    this.step = step;
    if (this.plot) { this.plot.redraw(false); this.told(this.plot); }
  }

  resized() {
    if (this.plot && this.element.clientWidth) this.plot.setSize({ width: this.element.clientWidth, height: this.height() });
  }

  height() {
    return document.documentElement.classList.contains("present") ? 380 : 220;
  }

  draw() {
    const zoom = this.plot && this.zoomed ? { min: this.plot.scales.x.min, max: this.plot.scales.x.max } : null;
    if (this.plot) this.plot.destroy();
    this.plot = null;
    const there = this.lines.filter((each) => each.x.length);
    if (!there.length || !window.uPlot) return;
    const data = joined(there.map((each) => ({ x: each.x, y: smoothed(each.y, this.strength) })));
    const edges = there.length <= 4 && !this.strength ? there.map((each, k) => ({ k, each })).filter(({ each }) => each.low && each.low.length) : [];
    for (const { each } of edges) data.push(...joined([{ x: data[0], y: [] }, { x: each.x, y: each.low }, { x: each.x, y: each.high }]).slice(2));
    const values = data.slice(1).flat().filter((value) => typeof value === "number");
    const log = this.about.log && values.length && values.every((value) => value > 0);
    const thick = document.documentElement.classList.contains("present") ? 4 : 1.8;
    const few = data[0].length <= 60;
    const axis = { stroke: soft(), grid: { stroke: line(), width: 1 }, ticks: { stroke: line() }, font: `${document.documentElement.classList.contains("present") ? 18 : 12}px system-ui, sans-serif` };
    const options = {
      width: this.element.clientWidth || 320,
      height: this.height(),
      scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en")) },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) },
      ],
      cursor: { sync: { key: this.sync, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
      series: [{}, ...there.map((each, k) => ({
        label: each.label, stroke: each.colour === undefined ? colour(k) : colour(each.colour), width: thick,
        dash: DASHES[(each.dash === undefined ? (there.length <= 4 ? k : 0) : each.dash) % 4], points: { show: few, size: 5 },
      })), ...edges.flatMap(() => [0, 1].map(() => ({ label: "", stroke: "transparent", width: 0, spanGaps: true, points: { show: false } })))],
      bands: edges.map(({ each, k }, j) => ({ series: [there.length + 2 + 2 * j, there.length + 1 + 2 * j], fill: `${each.colour === undefined ? colour(k) : colour(each.colour)}2b` })),
      hooks: {
        setCursor: [(plot) => this.told(plot)],
        draw: [(plot) => this.marks(plot)],
        setScale: [(plot, key) => { if (key === "x") this.scaled(plot); }],
      },
    };
    this.shown = there;
    this.drawing = true;
    this.plot = new window.uPlot(options, data, this.place);
    if (zoom) this.plot.setScale("x", { min: zoom.min, max: zoom.max });
    queueMicrotask(() => { this.drawing = false; });
    // A click goes to its step; a drag zooms, and the first click of two is no click.
    const { over } = this.plot;
    let from = 0, later = null;
    over.addEventListener("mousedown", (event) => { from = event.clientX; });
    over.addEventListener("click", (event) => {
      clearTimeout(later);
      const { idx } = this.plot.cursor;
      if (event.detail > 1 || Math.abs(event.clientX - from) > 3 || idx === null || idx === undefined || !this.onStep) return;
      later = setTimeout(() => this.onStep(data[0][idx]), 250);
    });
    this.told(this.plot);
    const block = Math.max(...there.map((each) => each.block || 1));
    this.note.textContent = [
      this.about.caption || "",
      block > 1 ? `Each point is the mean of ${block} logged steps; drag to zoom in.` : "",
      this.strength ? `Smoothed: a moving average that keeps ${Math.round(100 * this.strength)} % from point to point.` : "",
    ].filter(Boolean).join(" ");
  }

  // What is seen has changed, here or in a chart that moves with this one: points that stand for many steps are better
  // fetched anew.
  scaled(plot) {
    if (this.drawing) return;
    const { min, max } = plot.scales.x, steps = plot.data[0], was = this.zoomed;
    this.zoomed = min > steps[0] || max < steps.at(-1);
    if (!this.zoomed && !was) return;
    const coarse = this.finer || this.lines.some((each) => each.block > 1);
    this.finer = this.zoomed && coarse;
    if (coarse && this.onZoom) this.onZoom(this.zoomed ? [min, max] : null);
  }

  key(event) {
    const { plot } = this, by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -20, PageUp: 20, Home: -Infinity, End: Infinity }[event.key];
    if (!plot) return;
    const now = this.row(plot), last = plot.data[0].length - 1;
    if (by !== undefined) {
      const to = Math.max(0, Math.min(last, now + by)), { left, top } = { left: plot.valToPos(plot.data[0][to], "x"), top: plot.over.clientHeight / 2 };
      plot.setCursor({ left, top });
    } else if (event.key === "Enter" && this.onStep) this.onStep(plot.data[0][now]);
    else return;
    event.preventDefault();
  }

  // The row that the legend tells: under the cursor, else the last one up to the marked step, else the last.
  row(plot) {
    const { idx } = plot.cursor, steps = plot.data[0];
    if (idx !== null && idx !== undefined) return idx;
    if (this.step === null) return steps.length - 1;
    const beyond = steps.findIndex((x) => x > this.step);
    return beyond > 0 ? beyond - 1 : steps.length - 1;
  }

  told(plot) {
    const row = this.row(plot), { data } = plot;
    const items = this.shown.map((each, k) => {
      let j = row;
      while (j >= 0 && typeof data[k + 1][j] !== "number") j -= 1;
      const mark = h("i", {});
      mark.style.borderTopColor = each.colour === undefined ? colour(k) : colour(each.colour);
      mark.style.borderTopStyle = (each.dash === undefined ? (this.shown.length <= 4 ? k : 0) : each.dash) % 4 ? "dashed" : "solid";
      const other = j >= 0 && j < row ? ` (at ${data[0][j].toLocaleString("en")})` : "";
      return h("span", {}, mark, `${each.label} ${j < 0 ? "-" : number(data[k + 1][j])}${other}`);
    });
    fill(this.legend, ...items, h("span", { class: "soft" }, `step ${data[0][row] === undefined ? "-" : data[0][row].toLocaleString("en")}`));
  }

  marks(plot) {
    const pen = plot.ctx, { left, top, width, height } = plot.bbox;
    pen.save();
    pen.fillStyle = soft();
    pen.strokeStyle = soft();
    pen.lineWidth = devicePixelRatio;
    pen.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    for (const [value, words] of this.about.levels || []) {
      const y = plot.valToPos(value, "y", true);
      if (y < top || y > top + height || !Number.isFinite(y)) continue;
      pen.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(left + width, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.save();
      pen.setLineDash([]);
      pen.strokeStyle = paper();
      pen.lineWidth = 4 * devicePixelRatio;
      pen.strokeText(words, left + width - 4, y - 4);
      pen.restore();
      pen.fillText(words, left + width - 4, y - 4);
    }
    for (const [step, words] of [...(this.about.marks || []), ...(this.step === null ? [] : [[this.step, ""]])]) {
      const x = plot.valToPos(step, "x", true);
      if (x < left || x > left + width) continue;
      pen.setLineDash(words ? [5 * devicePixelRatio, 3 * devicePixelRatio] : []);
      pen.beginPath();
      pen.moveTo(x, top);
      pen.lineTo(x, top + height);
      pen.stroke();
      if (words) {
        pen.save();
        pen.translate(x - 4, top + 4);
        pen.rotate(-Math.PI / 2);
        pen.textAlign = "right";
        pen.fillText(words, 0, 0);
        pen.restore();
      }
    }
    pen.restore();
  }

  close() {
    this.observer.disconnect();
    dark.removeEventListener("change", this.repaint);
    if (this.plot) this.plot.destroy();
  }
}
