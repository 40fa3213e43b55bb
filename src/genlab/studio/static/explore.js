// The latent space of a model under one's hands: sliders, classes, a way between two z, what lies near, what D says;
// for an encoder or a classifier: an image of one's own.
import { address, everyRun, failed, fill, get, h, news, number, parts, post, said, savePicture, say, socket, whole } from "./dom.js";

const WAIT = 350;

export async function view(stage, go) {
  const list = await everyRun();
  const able = [...list.runs, ...list.examples].filter((run) => (run.step || run.weights) && run.family !== "external"), ours = new Set(list.shipped ? able.map((run) => run.run) : list.examples.map((run) => run.run));
  let name = said().get("run");
  if (!name) {
    const own = able.filter((run) => !ours.has(run.run)), best = [...(own.length ? own : able)].sort((a, b) => (a.times_real ?? 1e9) - (b.times_real ?? 1e9))[0];
    name = best ? best.run : null;
  }
  if (!name) {
    fill(stage, h("h1", {}, "Explore"), h("p", {}, "There is no trained model here yet."), h("p", {}, h("a", { class: "button main", href: "/new" }, "Train your own")));
    return null;
  }
  const step = said().get("step") ? Number(said().get("step")) : null;
  const choose = h("select", { "aria-label": "Model", onchange: () => go(address("/explore", { run: choose.value })) }, able.map((run) => h("option", { value: run.run }, ours.has(run.run) ? `${run.run} (comes with genlab)` : run.run)));
  if (!able.some((run) => run.run === name)) choose.append(h("option", { value: name }, name));
  choose.value = name;
  const head = h("div", {}, h("h1", {}, "Explore"), h("div", { class: "row tools" }, h("label", { class: "row" }, h("span", { class: "soft" }, "Model"), choose), h("a", { class: "button main", href: "/new" }, "Train your own")));
  let told;
  try {
    told = await get("explore", { run: name, step });
  } catch (error) {
    fill(stage, head, failed(error));
    return null;
  }
  if (!told.can.draw) return read(stage, head, name, told);

  // Where we are: read from the address, written back to it.
  const place = { seed: Number(said().get("seed") || 0), moves: {}, toward: said().get("toward") === null ? null : Number(said().get("toward")), share: Number(said().get("share") || 0), label: Number(said().get("class") || 0) };
  for (const part of (said().get("z") || "").split("_").filter(Boolean)) {
    const [slider, value] = part.split(":");
    if (Number.isFinite(Number(value))) place.moves[String(Number(slider))] = Number(value);
  }
  let id = 0, waiting = new Map(), closed = false, wire = null, timer = null;
  const canvas = h("canvas", { class: "pixels", width: told.side, height: told.side, tabindex: "0", role: "img", "aria-label": "The image that the model draws here; arrow keys move the first two sliders", title: "Arrow keys move the first two sliders" });
  const words = h("figcaption", {}), strip = h("div", { class: "strip" }), near = h("div", {}), way = h("div", {}), map = h("div", {}), dot = h("i", { "aria-hidden": "true" });
  const tiles = told.conditional ? told.classes.map((title, k) => {
    const small = h("canvas", { width: told.side, height: told.side, "aria-hidden": "true" });
    const button = h("button", { "aria-pressed": String(k === place.label), onclick: () => { place.label = k; changed(); tiles.forEach((tile, j) => tile.button.setAttribute("aria-pressed", String(j === k))); } }, small, h("span", {}, title));
    strip.append(button);
    return { small, button };
  }) : [];

  const sliders = told.sliders.map((slider, k) => {
    const input = h("input", { type: "range", min: String(slider.low), max: String(slider.high), step: "0.05", id: `slider-${k}` }), output = h("output", {});
    input.addEventListener("input", () => { place.moves[k] = Number(input.value); output.textContent = Number(input.value).toFixed(2); changed(); });
    input.addEventListener("dblclick", () => { delete place.moves[k]; changed(); });
    return { input, output, element: h("div", { class: "slider" }, h("label", { for: `slider-${k}` }, slider.name), input, output) };
  });
  const share = h("input", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": "How far along the path to the second z" });
  share.addEventListener("input", () => { place.share = Number(share.value); changed(); });

  function message() {
    return { id: ++id, run: name, step, place: { ...place, moves: place.moves } };
  }

  function changed() {
    if (wire && wire.readyState === 1) {
      const told = message();
      waiting.set(told.id, performance.now());
      wire.send(JSON.stringify(told));
    }
    clearTimeout(timer);
    timer = setTimeout(settled, WAIT);
  }

  function settled() {
    say({ run: name, step, seed: place.seed || null, class: place.label || null, toward: place.toward, share: place.share || null,
      z: Object.entries(place.moves).map(([slider, value]) => `${slider}:${value}`).join("_") || null });
    ask();
    if (place.toward !== null) twelve.src = path();
    if (mapped !== place.label) showMap();
  }

  // Pixels, one byte for each channel, as an image of its own size.
  function paint(target, bytes, [channels, height, width]) {
    if (target.width !== width || target.height !== height) { target.width = width; target.height = height; }
    const image = new ImageData(width, height), n = width * height;
    for (let k = 0; k < n; k += 1) {
      for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = bytes[channels === 1 ? k : channels * k + c];
      image.data[4 * k + 3] = 255;
    }
    target.getContext("2d").putImageData(image, 0, 0);
  }

  function arrived(data) {
    const [header, images] = parts(data);
    if (header.error) { words.textContent = header.error; return; }
    images.forEach((bytes, k) => {
      const target = k ? tiles[k - 1]?.small : canvas;
      if (target) paint(target, bytes, header.shape);
    });
    header.values.forEach((value, k) => {
      if (sliders[k] && document.activeElement !== sliders[k].input) sliders[k].input.value = value;
      if (sliders[k]) sliders[k].output.textContent = Number(value).toFixed(2);
    });
    if (told.can.map) {
      dot.style.left = `${100 * below(header.values[0])}%`;
      dot.style.top = `${100 - 100 * below(header.values[1])}%`;
    }
    const began = waiting.get(header.id);
    if (began !== undefined) {
      requestAnimationFrame(() => performance.measure("slider to picture", { start: began, end: performance.now() }));
      for (const key of waiting.keys()) if (key <= header.id) waiting.delete(key);
    }
    const moved = Object.keys(place.moves).length ? ", moved" : "";
    words.textContent = `Drawn from z number ${whole(place.seed)}${moved}${place.toward !== null && place.share ? `, ${Math.round(100 * place.share)} % of the way to number ${whole(place.toward)}` : ""}${told.conditional ? `, as class ${told.classes[place.label]}` : ""}. ${told.drawn}.`;
  }

  const query = () => ({ run: name, step, place: JSON.stringify(place) });
  let asking = null;
  async function ask() {
    if (asking) asking.abort();
    asking = new AbortController();
    try {
      const found = await get("ask", query(), asking.signal);
      if (closed) return;
      const labels = found.nearest.labels.length ? `: ${found.nearest.labels.join(", ")}` : "";
      fill(near, h("h2", {}, "What is nearby"), h("figure", { class: "near" }, h("img", { class: "pixels", src: found.nearest.png, alt: `The nearest training images${labels}` }),
        h("figcaption", {}, `The nearest of ${whole(found.nearest.among)} training images${labels}. Pixel distances: ${found.nearest.distances.join(", ")}.`)),
        found.score ? h("p", {}, `D scores it ${number(found.score.logit)}${found.score.has_border ? ` (above 0: real, below: generated)` : ""}; ${Math.round(100 * found.score.above)} % of real images score lower.`, found.score.has_border ? "" : " This D learned only to compare: the sign of a score means nothing.") : "");
    } catch (error) {
      if (error.name !== "AbortError") fill(near, failed(error));
    }
  }

  function fresh(seed) {
    place.seed = seed;
    place.moves = {};
    place.share = 0;
    share.value = 0;
    changed();
  }

  // The way to the second z: twelve pictures of it, and where on it we are.
  const path = () => address("/api/draw", { ...query(), place: JSON.stringify({ ...place, share: 0 }), what: "path", steps: 12 });
  const twelve = h("img", { class: "pixels", alt: "Twelve steps along the path between the two z" });

  function showWay() {
    if (place.toward === null) { fill(way, ); return; }
    share.value = place.share;
    twelve.src = path();
    const caption = () => `${name}: the straight path from z number ${whole(place.seed)}${Object.keys(place.moves).length ? " (moved)" : ""} to z number ${whole(place.toward)} in 12 equal steps${told.conditional ? `, as class ${told.classes[place.label]}` : ""}; ${told.drawn}.`;
    fill(way, h("h2", {}, "Interpolation"), h("div", { class: "scrub" }, h("span", { class: "small soft" }, "from here"), share, h("span", { class: "small soft" }, `to z number ${whole(place.toward)}`)),
      twelve,
      h("div", { class: "row tools" }, h("button", { onclick: () => { place.toward = Math.floor(Math.random() * 100000); changed(); showWay(); } }, "Another endpoint"),
        h("button", { onclick: () => savePicture(twelve.src, caption(), `${name.replaceAll("/", "-")}-interpolation`).catch((error) => news(error.message)) }, "Save this interpolation"),
        h("button", { onclick: () => { place.toward = null; place.share = 0; changed(); showWay(); } }, "Close")));
  }

  let mapped = null;
  function showMap() {
    mapped = place.label;
    if (!told.can.map) return;
    const image = h("img", { class: "pixels", src: address("/api/draw", { run: name, step, what: "map", place: JSON.stringify({ label: place.label }) }), alt: "The whole latent space; click to go there" });
    image.addEventListener("click", (event) => {
      const box = image.getBoundingClientRect();
      const at = (value) => Math.max(0.025, Math.min(0.975, value));
      place.moves = { 0: quantile(at((event.clientX - box.left) / box.width)), 1: quantile(at(1 - (event.clientY - box.top) / box.height)) };
      place.share = 0;
      changed();
    });
    fill(map, h("h2", {}, "Map of z"), h("figure", { class: "near" }, h("div", { class: "map" }, image, dot), h("figcaption", {}, "Decoded at 20 x 20 points of equal probability; the ring is where you are. Click to go there.")));
  }

  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -0.1], ArrowRight: [0, 0.1], ArrowUp: [1, 0.1], ArrowDown: [1, -0.1] }[event.key];
    if (!by || !sliders[by[0]]) return;
    event.preventDefault();
    const input = sliders[by[0]].input;
    input.value = Number(input.value) + by[1];
    place.moves[by[0]] = Number(input.value);
    changed();
  });

  const encoder = told.can.encode ? reader(name, told, place, (code) => {
    if (!told.units) return;
    place.moves = Object.fromEntries(code.slice(0, told.sliders.length).map((value, k) => [k, value]));
    changed();
  }) : "";
  fill(stage, head,
    h("div", { class: "stage" },
      h("div", { class: "picture" }, h("figure", {}, canvas, words),
        h("div", { class: "row tools" }, h("button", { onclick: () => fresh(Math.floor(Math.random() * 100000)) }, "Another z"), h("button", { onclick: () => fresh(place.seed) }, "Reset sliders"),
          h("button", { onclick: () => savePicture(canvas, `${name}: ${words.textContent}`, `${name.replaceAll("/", "-")}-z${place.seed}`).catch((error) => news(error.message)) }, "Save as PNG"))),
      h("div", { class: "controls" },
        h("h2", {}, told.units ? `The ${told.sliders.length} units of z` : `Two directions of z (of ${told.latent} numbers)`),
        h("p", { class: "small soft" }, told.units ? "Each unit is standard normal: most z lie between -2 and 2." : "The directions along which this model's images change most: principal components of 256 images, mapped back to z."),
        h("div", { class: "sliders" }, sliders.map((slider) => slider.element)),
        told.conditional ? [h("h2", {}, "The same z as every class"), strip] : "",
        h("div", { class: "row tools" }, h("button", { onclick: () => { place.toward = Math.floor(Math.random() * 100000); changed(); showWay(); } }, "Interpolate to another z"),
          told.conditional || told.can.map ? h("a", { class: "button", href: address("/api/save", { run: name, step }), download: `${name.replaceAll("/", "-")}-latent-space.html` }, "Save a hand-out for phones") : null), way, map), near),
    encoder);

  function listen() {
    wire = socket("/ws/explore");
    wire.onopen = () => changed();
    wire.onmessage = (message) => arrived(message.data);
    wire.onclose = () => { if (!closed) setTimeout(() => { if (!closed) listen(); }, 1500); };
  }
  listen();
  showWay();
  showMap();
  return () => { closed = true; clearTimeout(timer); if (wire) wire.close(); if (asking) asking.abort(); };
}

// The standard normal quantile (Acklam 2003): the map has a column for each step of equal probability.
function quantile(p) {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  if (p > 0.97575) return -quantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) / ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  }
  const q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

// The share of a standard normal distribution that lies below x (Abramowitz and Stegun 1964, 26.2.17).
function below(x) {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const beyond = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x > 0 ? 1 - beyond : beyond;
}

// An image of one's own: drawn, dropped, or from the test split.
function reader(name, told, place, onCode) {
  const size = 280, pad = h("canvas", { width: size, height: size, class: "pixels", tabindex: "0", role: "img", "aria-label": "Draw here" }), pen = pad.getContext("2d", { willReadFrequently: true });
  const answer = h("div", {}), file = h("input", { type: "file", accept: "image/*", "aria-label": "An image file" });
  let drawing = false, example = 0;
  const clear = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, size, size); fill(answer, ); };
  clear();
  const at = (event) => { const box = pad.getBoundingClientRect(); return [(event.clientX - box.left) * size / box.width, (event.clientY - box.top) * size / box.height]; };
  pad.style.touchAction = "none";
  pad.addEventListener("pointerdown", (event) => { drawing = true; pad.setPointerCapture(event.pointerId); pen.beginPath(); pen.moveTo(...at(event)); });
  pad.addEventListener("pointermove", (event) => { if (!drawing) return; pen.lineWidth = 20; pen.lineCap = "round"; pen.lineJoin = "round"; pen.strokeStyle = "#fff"; pen.lineTo(...at(event)); pen.stroke(); });
  pad.addEventListener("pointerup", () => { drawing = false; send(); });
  pad.addEventListener("dragover", (event) => event.preventDefault());
  pad.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) dropped(event.dataTransfer.files[0]); });
  file.addEventListener("change", () => { if (file.files[0]) dropped(file.files[0]); });

  async function dropped(content) {
    try {
      const image = await createImageBitmap(content);
      clear();
      const scale = Math.min(size / image.width, size / image.height);
      pen.drawImage(image, (size - image.width * scale) / 2, (size - image.height * scale) / 2, image.width * scale, image.height * scale);
      send();
    } catch {
      news("this browser cannot read that file as a picture");
    }
  }

  function pixels() {
    const side = Math.min(told.side, 512), small = h("canvas", { width: side, height: side }), context = small.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(pad, 0, 0, side, side);
    const data = context.getImageData(0, 0, side, side).data, found = [];
    for (let k = 0; k < data.length; k += 4) found.push(Math.round(0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2]));
    return { side, pixels: found };
  }

  async function send(more = null) {
    try {
      const found = await post("read", { run: name, label: place.label, ...(more || pixels()) });
      if (more) show(found);
      if (found.probabilities) {
        fill(answer, h("h3", {}, "What the classifier says"), h("div", { class: "bars" }, found.probabilities.map((value, k) => [h("span", {}, told.classes[k]),
          h("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, h("rect", { width: 100 * value, height: 10 })), h("span", { class: "num" }, `${(100 * value).toFixed(1)} %`)])));
      } else {
        fill(answer, h("figure", {}, h("img", { class: "pixels", src: found.png, alt: "What the decoder makes of its code" }), h("figcaption", {}, `What the decoder makes of it. Its code: ${found.code.map((value) => value.toFixed(2)).join(", ")}.`)));
        onCode(found.code);
      }
    } catch (error) {
      fill(answer, failed(error));
    }
  }

  function show(found) {
    const image = new ImageData(found.side, found.side), n = found.side * found.side;
    for (let k = 0; k < n; k += 1) for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = found.pixels[(found.channels === 1 ? 0 : c) * n + k];
    for (let k = 0; k < n; k += 1) image.data[4 * k + 3] = 255;
    const small = h("canvas", { width: found.side, height: found.side });
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, size, size);
  }

  return h("div", {}, h("h2", {}, told.can.name ? "Draw something" : "Encode an image"), h("div", { class: "stage" },
    h("div", { class: "picture" }, h("figure", {}, pad, h("figcaption", {}, "Draw with the mouse or a finger, or drop an image file.")),
      h("div", { class: "row tools" }, h("button", { onclick: () => clear() }, "Clear"), h("button", { onclick: () => send({ example: example++ }) }, "A test image"), file)), answer));
}

function read(stage, head, name, told) {
  const place = { label: 0 };
  fill(stage, head, told.can.name ? reader(name, told, place, () => {}) : h("p", {}, "There is nothing to explore in this run."));
  return null;
}
