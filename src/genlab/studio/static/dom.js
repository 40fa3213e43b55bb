// Elements, requests and addresses. Text is only ever set as text: no name from a run becomes markup.

export function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "circle", "g"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Put children in the place of those that are there; what is null or false is left out.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
}

export class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

// A view that was left gets no answers, and so does nothing any more.
const visit = { number: 0 };
export const arrive = () => { visit.number += 1; };
function ofThisVisit(promise) {
  const { number } = visit;
  return new Promise((done, failed) => promise.then((value) => { if (number === visit.number) done(value); }, (error) => { if (number === visit.number) failed(error); }));
}

async function answered(response) {
  if (response.status === 401) throw new Refused("This page no longer has access. Open the address that genlab studio printed.", 401);
  const told = await response.json().catch(() => ({ error: `the studio answered ${response.status}` }));
  if (!response.ok) throw new Refused(told.error || `the studio answered ${response.status}`, response.status);
  return told;
}

export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

const UNREACHABLE = "The studio does not answer. Training continues without it; start it again with: genlab studio";

export const get = (name, parameters = {}, signal = undefined) => ofThisVisit(asked(name, parameters, signal));

async function asked(name, parameters, signal) {
  let response;
  try {
    response = await fetch(address(`/api/${name}`, parameters), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(UNREACHABLE, 0);
  }
  return answered(response);
}

// All runs, once each was looked at.
export async function everyRun() {
  let told = await get("runs");
  while (told.runs.some((run) => run.state === "not looked at yet")) told = await get("runs");
  return told;
}

export const post = (name, body) => ofThisVisit(told(name, body));

async function told(name, body) {
  let response;
  try {
    response = await fetch(`/api/${name}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Refused(UNREACHABLE, 0);
  }
  return answered(response);
}

export function socket(path, parameters = {}) {
  const opened = new WebSocket(`ws://${location.host}${address(path, parameters)}`);
  opened.binaryType = "arraybuffer";
  return opened;
}

// A message of the studio: a header in JSON behind its length, then parts, whose sizes the header has.
export function parts(data) {
  const length = new DataView(data).getUint32(0), header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  return [header, (header.sizes || []).map((size) => { const part = new Uint8Array(data, at, size); at += size; return part; })];
}

// What an address says of a view: read from it, and written back without a new entry in the history.
export const said = () => new URLSearchParams(location.search);

export function say(changes) {
  const query = said();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `${location.pathname}?${text}` : location.pathname);
}

export function news(words) {
  const line = h("p", {}, words);
  document.getElementById("news").append(line);
  setTimeout(() => line.remove(), 6000);
}

export const failed = (error) => h("p", { class: "error", role: "alert" }, error.message || String(error));

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "-" : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(digits)));

// "1 seed", "3 seeds".
export const counted = (n, word) => `${whole(n)} ${word}${n === 1 ? "" : "s"}`;

export const whole = (value) => (value === null || value === undefined ? "-" : value.toLocaleString("en"));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  const all = Math.round(seconds);
  if (all < 100) return `${all} s`;
  if (all < 6000) return `${Math.floor(all / 60)} min ${all % 60} s`;
  return `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
}

export function table(told, caption = "") {
  const numeric = new Set(told.numeric || []);
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption || told.title || told.heading || told.columns[0] },
    h("table", {},
      caption || told.title ? h("caption", {}, caption || told.title) : null,
      h("thead", {}, h("tr", {}, told.columns.map((name) => h("th", { scope: "col", class: numeric.has(name) ? "num" : null }, name)))),
      h("tbody", {}, told.rows.map((row) => h("tr", {}, row.map((cell, k) =>
        k ? h("td", { class: numeric.has(told.columns[k]) ? "num" : null }, cell) : h("th", { scope: "row", class: "name" }, cell)))))));
}

// A picture with its caption under it, saved as PNG.
export async function savePicture(source, caption, name) {
  const image = source instanceof HTMLCanvasElement ? source : await new Promise((done, failed) => {
    const loaded = new Image();
    loaded.onload = () => done(loaded);
    loaded.onerror = () => failed(new Error("the picture could not be read"));
    loaded.src = source;
  });
  const scale = Math.max(1, Math.floor(960 / image.width));
  const width = Math.max(image.width * scale, 480), height = image.height * scale;
  const sheet = document.createElement("canvas"), pen = sheet.getContext("2d");
  pen.font = "14px system-ui, sans-serif";
  const lines = [];
  for (const word of caption.split(" ")) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && pen.measureText(longer).width <= width - 16) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  sheet.width = width;
  sheet.height = height + 12 + 19 * lines.length;
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, (width - image.width * scale) / 2, 0, image.width * scale, height);
  pen.fillStyle = "#1c2430";
  pen.font = "14px system-ui, sans-serif";
  lines.forEach((line, k) => pen.fillText(line, 8, height + 20 + 19 * k));
  const content = await new Promise((done) => sheet.toBlob(done, "image/png"));
  const link = h("a", { href: URL.createObjectURL(content), download: `${name}.png` });
  link.click();
  news(`${name}.png saved to your downloads`);
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
