// A training of one's own: few fields, the rest of the recipe folded away, every error at its field.
import { address, failed, fill, get, h, news, post, said } from "./dom.js";

const TITLES = { "data.name": "Dataset (its name, or a path)", "budget.minutes": "Minutes (instead of epochs)", "budget.epochs": "Epochs", "optimisers.generator.lr": "Learning rate of G", "optimisers.discriminator.lr": "Learning rate of D", "optimiser.lr": "Learning rate" };

const KINDS = [["In minutes", /^quick/], ["From the five course reports", /^s\d-/], ["Judges, which classify images", /^judge-/], ["Others", /./]];

// What a recipe calls null is an empty field.
const plain = (value) => (value === "null" ? "" : value);

export async function view(stage, go) {
  let closed = false;
  const { recipes } = await get("recipes"), from = said().get("from");
  const recipe = h("select", { id: "recipe", "aria-label": "Recipe" }, from ? h("option", { value: "" }, `same as ${from}`) : null, KINDS.map(([kind]) => h("optgroup", { label: kind }, recipes.filter((each) => KINDS.find(([, fits]) => fits.test(each.name))[0] === kind).map((each) => h("option", { value: each.name }, each.name)))));
  recipe.value = said().get("recipe") || (from ? "" : "quick-mnist");
  const about = h("p", { class: "soft small" }), form = h("div", {}), outcome = h("div", {});
  const title = h("input", { id: "name", autocomplete: "off", spellcheck: "false" }), seed = h("input", { id: "seed", type: "number", min: "0", value: "0" });
  const start = h("button", { class: "main", type: "submit" }, "Start training");
  let inputs = new Map(), initial = new Map(), timer = null;

  const source = () => (recipe.value ? { recipe: recipe.value } : { run: from });

  async function fields() {
    about.textContent = recipe.value ? recipes.find((each) => each.name === recipe.value).description : `The recipe of ${from}, with your changes.`;
    const told = await get("recipe", source());
    inputs = new Map();
    initial = new Map(told.fields.map((field) => [field.path, field.value]));
    const one = (field) => {
      const input = field.choices ? h("select", {}, field.choices.map((choice) => h("option", { value: plain(choice) }, plain(choice) || "none"))) : h("input", { placeholder: field.value === "null" ? "none" : null, spellcheck: "false", autocomplete: "off" });
      input.id = `field-${field.path}`;
      const value = plain(said().get(`set.${field.path}`) ?? field.value);
      if (field.choices && !field.choices.map(plain).includes(value)) input.append(h("option", { value }, value));
      input.value = value;
      input.addEventListener("input", later);
      const wrong = h("span", { class: "wrong", role: "alert", hidden: true });
      inputs.set(field.path, { input, wrong });
      return h("div", { class: "field" }, h("label", { for: `field-${field.path}` }, TITLES[field.path] || field.path), input, wrong);
    };
    const short = told.fields.filter((field) => field.short), rest = told.fields.filter((field) => !field.short);
    const sections = new Map();
    for (const field of rest) {
      const section = field.path.split(".")[0];
      sections.set(section, [...(sections.get(section) || []), field]);
    }
    const nameWrong = h("span", { class: "wrong", role: "alert", hidden: true });
    inputs.set("name", { input: title, wrong: nameWrong });
    title.value = title.value || `${recipe.value || "again"}-${new Date().toISOString().slice(5, 16).replace(/[-T:]/g, "")}`;
    fill(form, h("div", { class: "cards" }, short.map(one), h("div", { class: "field" }, h("label", { for: "name" }, "Name of the run"), title, nameWrong), h("div", { class: "field" }, h("label", { for: "seed" }, "Random seed"), seed)),
      h("details", { open: [...said().keys()].some((key) => key.startsWith("set.") && !short.some((field) => key === `set.${field.path}`)) }, h("summary", {}, "The whole recipe"), [...sections].map(([section, members]) => h("div", {}, h("h3", {}, section), h("div", { class: "cards" }, members.map(one))))));
    later();
  }

  function overrides() {
    const found = {};
    for (const [path, { input }] of inputs) {
      const value = input.value.trim() === "" ? "null" : input.value;
      if (path !== "name" && value !== initial.get(path)) found[path] = value;
    }
    return found;
  }

  const body = () => ({ ...source(), overrides: overrides(), name: title.value, seed: Number(seed.value) });

  function mark({ problems, expected }) {
    for (const { input, wrong } of inputs.values()) { wrong.hidden = true; input.removeAttribute("aria-invalid"); }
    const rest = [];
    for (const problem of problems) {
      const field = inputs.get(problem.path) || [...inputs].find(([path]) => problem.path && path.startsWith(`${problem.path}.`))?.[1];
      if (!field) { rest.push(problem.words); continue; }
      field.wrong.textContent = problem.words;
      field.wrong.hidden = false;
      field.input.setAttribute("aria-invalid", "true");
      field.input.closest("details")?.setAttribute("open", "");
    }
    const changes = Object.entries(overrides());
    fill(outcome, ...rest.map((words) => h("p", { class: "error", role: "alert" }, words)),
      changes.length ? h("p", { class: "small soft" }, `Changed: ${changes.map(([path, value]) => `${TITLES[path] ? `${TITLES[path]} (${path})` : path}: ${value === "null" ? "none" : value}`).join(", ")}.`) : "",
      h("p", { class: "small soft", "aria-live": "polite" }, expected || ""));
    start.disabled = problems.length > 0;
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        mark(await post("check", body()));
      } catch (error) {
        fill(outcome, failed(error));
      }
    }, 300);
  }

  recipe.addEventListener("change", () => { title.value = ""; fields().catch((error) => fill(form, failed(error))); });
  title.addEventListener("input", later);
  fill(stage, h("h1", {}, "New run"), h("form", { onsubmit: async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    start.disabled = true;
    try {
      const told = await post("train", body());
      if (told.problems.length) return mark(told);
      news(`${told.run}: starting`);
      const place = await begun(told.run, () => closed);
      if (place && !closed) return go(place);
    } catch (error) {
      fill(outcome, failed(error));
    }
    start.disabled = false;
    return null;
  } }, h("div", { class: "row" }, h("label", { for: "recipe" }, "Recipe"), recipe), about, form, outcome, h("p", {}, start)));
  await fields();
  return () => { closed = true; clearTimeout(timer); };
}

// The page of a run, once it has its directory: it takes some seconds until a training has begun. Null where nothing is
// to be shown; an error where it could not begin.
export async function begun(run, left) {
  for (let k = 0; k < 120 && !left(); k += 1) {
    await new Promise((done) => setTimeout(done, 500));
    const { there, jobs, lines } = await get("log", { run });
    if (there) return address("/run", { run });
    const mine = jobs.find((job) => job.run === run);
    if (mine && mine.state === "waiting") { news(`${run} waits for the run before it to end`); return "/runs"; }
    if (mine && mine.state === "failed") throw new Error(mine.why || `${run} could not be started`);
    if (!mine && lines.length) { news(lines[lines.length - 1]); return null; }
  }
  return null;
}
