// One training step in slow motion: D moves or G moves, on real images, and every half-step can be undone.
import { failed, fill, h, counted, number, parts, socket } from "./dom.js";

export async function view(stage) {
  let wire = null, closed = false, told = null, busy = false, covered = false;
  const say = h("p", { role: "status" }), scores = h("div", {}), pictures = h("div", {}), count = h("span", { class: "soft" });
  const curtain = h("button", { "aria-pressed": "false", onclick: cover }, "Curtain (.)");
  const buttons = [
    h("button", { class: "main", onclick: () => move("D", 1) }, "D moves (d)"), h("button", { class: "main", onclick: () => move("G", 1) }, "G moves (g)"),
    h("button", { onclick: () => move("D", 10) }, "D ten times (1)"), h("button", { onclick: () => move("G", 10) }, "G ten times (0)"),
    h("button", { onclick: () => move("both", 50) }, "50 rounds (r)"), h("button", { onclick: undo }, "Undo (u)"), h("button", { onclick: () => { wire.close(); begin(); } }, "Start again"),
  ];

  function move(player, times) {
    if (busy || !wire || wire.readyState !== 1) return;
    busy = true;
    wire.send(JSON.stringify({ player, times }));
  }

  function undo() {
    if (busy || !wire || wire.readyState !== 1) return;
    busy = true;
    wire.send(JSON.stringify({ undo: true }));
  }

  function cover() {
    covered = !covered;
    curtain.setAttribute("aria-pressed", String(covered));
    draw();
  }

  function keys(event) {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { d: () => move("D", 1), g: () => move("G", 1), 1: () => move("D", 10), 0: () => move("G", 10), r: () => move("both", 50), u: undo, ".": cover }[event.key.toLowerCase()];
    if (action) { event.preventDefault(); action(); }
  }

  // What D says of the batch, one panel for each title; `hidden` panels stay empty.
  function histograms(titles, hidden) {
    const { real, fake } = told.counts, most = Math.max(1, ...real.flat(), ...fake.flat());
    const bars = (counts, kind, flip) => counts.map((n, k) => h("rect", { class: kind, x: k * 10 + 0.5, width: 9, y: flip ? 60 : 60 - 56 * n / most, height: 56 * n / most }));
    return titles.map((title, k) => h("figure", {}, h("svg", { viewBox: "0 0 210 120", role: "img", class: "scores", "aria-label": `${title}: what D says about 64 real images (above) and 64 generated ones (below), from 0, generated, to 1, real` },
      k === hidden ? null : [bars(real[k], "real", false), bars(fake[k], "fake", true)], h("line", { x1: 0, x2: 210, y1: 60, y2: 60 }), h("line", { x1: 105, x2: 105, y1: 2, y2: 118, class: "middle" })), h("div", { class: "ends small soft", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, "1/2"), h("span", {}, "1")), h("figcaption", {}, title)));
  }

  function happened() {
    const { real, fake } = told.means, who = told.player, times = told.times > 1 ? `${told.times} times` : "";
    if (!who) {
      const state = `D gives real images ${number(real[0])} and G's ${number(fake[0])}. Let one of the two move.`;
      return told.done ? `One half-step back: the weights are exactly what they were before. ${state}` : `The weights of D and G are random: they know nothing. ${state}`;
    }
    if (who === "both" && !covered) return `${told.times} rounds of D and then G: D gave real images ${number(real[0])}, and now gives them ${number(real[1])}; it gave G's ${number(fake[0])}, and now ${number(fake[1])}.`;
    if (covered) return `${who === "both" ? `D and G moved ${told.times} times each` : `${who} moved${times ? ` ${times}` : ""}`}. What happens next? Guess, then lift the curtain.`;
    return who === "D"
      ? `D moved${times ? ` ${times}` : ""}: it gave real images ${number(real[0])}, and now gives them ${number(real[1])}; it gave G's ${number(fake[0])}, and now ${number(fake[1])}. Its loss was ${number(told.loss)} before ${times ? "the last of these moves" : "it moved"}.`
      : `G moved${times ? ` ${times}` : ""}: D is the same; it gave G's images ${number(fake[0])}, and now gives them ${number(fake[1])}. G's loss was ${number(told.loss)} before ${times ? "the last of these moves" : "it moved"}.`;
  }

  function draw() {
    if (!told) return;
    count.textContent = `${counted(told.done, "half-step")}; ${told.undo} can be undone.`;
    fill(say, happened());
    fill(scores, histograms(told.player ? ["before", "after"] : ["now"], covered ? 1 : null));
    const rows = told.player ? ["G's images, before", "G's images from the same z, after", "how G's loss wants them changed: orange brighter, blue darker"] : ["G's images"];
    fill(pictures, told.pictures.map((source, k) => covered && k === 1 ? null : h("figure", {}, h("img", { class: "pixels", src: source, alt: rows[k] }), h("figcaption", {}, rows[k]))));
  }

  function arrived(data) {
    const [header, images] = parts(data);
    busy = false;
    if (header.error) { fill(say, header.error); return; }
    if (told && told.pictures) told.pictures.forEach((source) => URL.revokeObjectURL(source));
    told = { ...header, pictures: images.map((bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/png" }))) };
    draw();
  }

  fill(stage, h("h1", {}, "Learn"),
    h("p", {}, "A GAN is two players. G makes images from numbers z; D says how real an image looks, from 0 to 1. They take turns, and each follows its own loss. Here you make their moves, on real digits."),
    h("div", { class: "row tools" }, buttons, curtain, count), say,
    h("h2", {}, "What D says about this batch"), h("p", { class: "small soft" }, h("b", { class: "of-real" }, "Real images above the line"), ", ", h("b", { class: "of-fake" }, "G's below"), "; from 0, certainly generated, to 1, certainly real. Against a perfect G, D can only say one half for every image."), h("div", { class: "pairs" }, scores),
    h("h2", {}, "What G draws"), h("div", { class: "near" }, pictures),
    h("details", {}, h("summary", {}, "Things to try"), h("ul", {}, [
      "Let only D move, thirty times. Where do the two groups go? Then let G move once: how large is the change?",
      "Let only G move, thirty times. Do its images get better, or do they only fool this D?",
      "Do 50 rounds, ten times. Which of the two is ahead, and when do strokes appear?",
      "Undo, and make the same move again: is it the same?",
    ].map((words) => h("li", {}, words)))));
  document.addEventListener("keydown", keys);
  function begin() {
    const mine = socket("/ws/learn");
    wire = mine;
    busy = false;
    fill(say, "Preparing two networks ...");
    mine.onmessage = (message) => (mine !== wire ? null : typeof message.data === "string" ? fill(say, JSON.parse(message.data).error) : arrived(message.data));
    mine.onclose = () => { if (!closed && mine === wire) fill(say, failed(new Error("The studio does not answer; this lesson is over. Reload the page for a new one."))); };
  }
  begin();
  return () => { closed = true; document.removeEventListener("keydown", keys); wire.close(); };
}
