// Runs beside one another: what their seeds say, curves over each other, samples of the same step, what differs.
import { Chart } from "./chart.js";
import { address, everyRun, fill, get, h, said, say, table, whole } from "./dom.js";

export async function view(stage, go) {
  const names = said().getAll("run");
  if (names.length < 2) return choose(stage, go);
  const told = await get("compare", { run: names }), charts = [];
  const shared = names.map((name) => told.samples[name]).filter((steps) => steps.length);
  const steps = shared.length ? shared[0].filter((step) => shared.every((each) => each.includes(step))) : [];
  const slider = h("input", { type: "range", min: "0", max: String(Math.max(0, steps.length - 1)), step: "1", "aria-label": "Step of all samples" }), output = h("output", {});
  const wanted = Number(said().get("step"));
  slider.value = wanted && steps.includes(wanted) ? steps.indexOf(wanted) : steps.length - 1;
  const pictures = names.filter((name) => told.samples[name].length).map((name) => ({ name, image: h("img", { class: "pixels", alt: "" }) }));

  function moved() {
    const step = steps[Number(slider.value)];
    if (step === undefined) return;
    output.textContent = `step ${whole(step)}`;
    say({ step: Number(slider.value) === steps.length - 1 ? null : step });
    for (const each of pictures) {
      each.image.src = address("/api/sample", { run: each.name, step });
      each.image.alt = `${told.labels[each.name]}: samples at step ${step}`;
    }
    for (const chart of charts) chart.mark(step);
  }

  const curves = h("div", { class: "charts" });
  slider.addEventListener("input", moved);
  fill(stage, 
    h("h1", {}, `${names.length} runs compared`), h("p", { class: "soft" }, told.lead),
    told.verdict ? h("p", { class: "verdict" }, told.verdict) : "",
    told.unlike ? h("p", { class: "error" }, told.unlike) : "",
    told.unmeasured.length ? h("p", { class: "error" }, `Not measured on 10,000 images at their present step: ${told.unmeasured.join(", ")}. genlab evaluate measures them; the evaluation here covers only the other runs.`) : "",
    steps.length ? h("div", {}, h("h2", {}, "Samples"), h("p", { class: "small soft" }, told.frames_caption), h("div", { class: "scrub" }, h("span", {}, ""), slider, output),
      h("div", { class: "side" }, pictures.map((each) => h("figure", {}, each.image, h("figcaption", {}, h("a", { href: address("/run", { run: each.name }) }, told.labels[each.name])))))) :
      pictures.length ? h("p", { class: "soft" }, "These runs have no step in common at which samples were kept.") : "",
    h("h2", {}, "Curves"), curves,
    told.tables.map((each) => h("div", {}, h("h2", {}, each.heading), table(each, each.title))),
    told.protocol ? h("p", { class: "small soft" }, told.protocol) : "");
  for (const each of told.curves) {
    const chart = new Chart({ ...each, levels: [] }, { onStep: (at) => {
      if (!steps.length) return;
      slider.value = steps.reduce((best, step, k) => (Math.abs(step - at) < Math.abs(steps[best] - at) ? k : best), 0);
      moved();
    } });
    charts.push(chart);
    curves.append(chart.element);
    chart.set(each.lines);
  }
  moved();
  return () => charts.forEach((chart) => chart.close());
}

async function choose(stage, go) {
  const told = await everyRun(), chosen = new Set(said().getAll("run"));
  const button = h("button", { class: "main", disabled: chosen.size < 2, onclick: () => go(address("/compare", { run: [...chosen] })) }, "Compare");
  fill(stage, h("h1", {}, "Compare"), h("p", {}, "Choose two or more runs."), h("p", {}, button),
    told.runs.length ? h("div", {}, told.runs.map((run) => h("p", {}, h("label", { class: "row" }, h("input", { type: "checkbox", checked: chosen.has(run.run), onchange: (event) => {
      if (event.target.checked) chosen.add(run.run); else chosen.delete(run.run);
      button.disabled = chosen.size < 2;
    } }), h("span", {}, run.run), h("span", { class: "soft small" }, run.state))))) : h("p", {}, "No runs yet."));
  return null;
}
