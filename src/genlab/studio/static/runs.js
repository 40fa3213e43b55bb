// Every run at a glance: filter, sort, group; two or more to compare; trainings that were started from here.
import { address, failed, fill, get, h, news, number, post, said, say, whole } from "./dom.js";

const ORDERS = {
  name: ["run", (run) => run.run],
  state: ["state", (run) => run.state],
  quality: ["quality", (run) => (run.times_real !== null ? run.times_real : run.accuracy !== null ? -run.accuracy : Infinity)],
  began: ["began", (run) => run.started || ""],
};
const EVERY = 3000;

function spark(course) {
  if (!course) return h("span", { class: "soft" }, "-");
  const values = course.values.filter((value) => value !== null);
  const least = Math.min(...values), most = Math.max(...values);
  const log = least > 0 && most > 20 * least;
  const at = (value) => (log ? Math.log(value) : value);
  const span = at(most) - at(least) || 1;
  const path = course.values.map((value, k) => value === null ? "" :
    `${k && course.values[k - 1] !== null ? "L" : "M"}${(100 * k / (course.values.length - 1)).toFixed(1)} ${(19 - 18 * (at(value) - at(least)) / span).toFixed(1)}`).join(" ");
  const words = `${course.column.replaceAll("_", " ")}: from ${number(values[0])} to ${number(values[values.length - 1])}`;
  return h("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img", "aria-label": words }, h("path", { d: path }));
}

function quality(run) {
  if (run.times_real !== null) return `${run.times_real.toFixed(1)} x${run.measured < 10000 ? ` of ${whole(run.measured)}` : ""}`;
  return run.accuracy === null ? "-" : `${(100 * run.accuracy).toFixed(1)} %`;
}

function progress(run) {
  if (run.step === null) return "-";
  return run.total_steps && run.step < run.total_steps ? `${whole(run.step)} of ${whole(run.total_steps)}` : whole(run.step);
}

export async function view(stage, go) {
  let told = await get("runs"), timer = null, closed = false, before = JSON.stringify(told);
  const chosen = new Set();
  const list = h("div", {}), jobs = h("div", {}), head = h("p", { class: "soft" });
  const filter = h("input", { type: "search", "aria-label": "Filter by name, recipe, state or finding", placeholder: "Filter", value: said().get("filter") || "" });
  const grouping = h("select", { "aria-label": "Group by" }, h("option", { value: "" }, "no groups"), h("option", { value: "recipe" }, "by recipe"), h("option", { value: "folder" }, "by folder"));
  grouping.value = said().get("group") || "";
  const comparing = h("button", { class: "main", onclick: () => go(address("/compare", { run: [...chosen] })) }, "Compare");
  filter.addEventListener("input", () => { say({ filter: filter.value }); draw(); });
  grouping.addEventListener("change", () => { say({ group: grouping.value }); draw(); });

  function sort(key) {
    const now = said();
    const down = now.get("sort") === key && !now.get("down");
    say({ sort: key, down: down ? "1" : null });
    draw();
    list.querySelector(`[data-sort="${key}"]`)?.focus();
  }

  function row(run) {
    const box = h("input", { type: "checkbox", "aria-label": `compare ${run.run}`, checked: chosen.has(run.run), onchange: () => {
      if (box.checked) chosen.add(run.run); else chosen.delete(run.run);
      comparing.disabled = chosen.size < 2;
    } });
    return h("tr", {},
      h("td", {}, box),
      h("th", { scope: "row", class: "name" }, h("a", { href: address("/run", { run: run.run }) }, run.run), run.changed ? h("div", { class: "small soft" }, `${run.recipe}, ${run.changed}`) : null),
      h("td", {}, h("span", { class: `state ${run.state}` }, run.state), run.reason ? h("div", { class: "small soft" }, run.reason) : null),
      h("td", { class: "num hide" }, progress(run)),
      h("td", { class: "hide" }, spark(run.course)),
      h("td", { class: "num" }, quality(run)),
      h("td", {}, run.finding || ""),
      h("td", { class: "hide small soft" }, (run.started || "-").slice(0, 16).replace("T", " ")));
  }

  function heading(key) {
    const now = said(), on = (now.get("sort") || "name") === key;
    return h("th", { scope: "col", class: key === "quality" ? "num" : key === "began" ? "hide" : null, "aria-sort": on ? (now.get("down") ? "descending" : "ascending") : null },
      h("button", { "data-sort": key, onclick: () => sort(key) }, ORDERS[key][0], on ? (now.get("down") ? " \u2193" : " \u2191") : ""));
  }

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (run) => words.every((word) => `${run.run} ${run.recipe} ${run.changed || ""} ${run.state} ${run.finding || ""}`.toLowerCase().includes(word));
    const order = ORDERS[said().get("sort") || "name"] || ORDERS.name, sign = said().get("down") ? -1 : 1;
    const shown = told.runs.filter(fits).sort((a, b) => (order[1](a) < order[1](b) ? -sign : order[1](a) > order[1](b) ? sign : 0));
    const groups = new Map();
    for (const run of shown) {
      const key = grouping.value === "recipe" ? run.recipe || "unknown" : grouping.value === "folder" ? run.run.split("/").slice(0, -1).join("/") || "(top)" : "";
      groups.set(key, [...(groups.get(key) || []), run]);
    }
    head.textContent = `${told.runs.length} run${told.runs.length === 1 ? "" : "s"} in ${told.root}${told.shipped ? " is empty: these come with genlab" : ""}`
      .replace(/^(\d+) runs? in (.*) is empty: these come with genlab$/, "$2 has no runs yet; these come with genlab.");
    comparing.disabled = chosen.size < 2;
    fill(list, shown.length ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Runs" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "small" }, "pick")), heading("name"), heading("state"), h("th", { scope: "col", class: "num hide" }, "step"), h("th", { scope: "col", class: "hide" }, "trend"), heading("quality"), h("th", { scope: "col" }, "finding"), heading("began"))),
      [...groups].map(([name, members]) => h("tbody", {}, name ? h("tr", {}, h("th", { colspan: "8", scope: "colgroup" }, h("b", {}, `${name} (${members.length})`))) : null, members.map(row))))) :
      h("p", {}, told.runs.length ? "No run matches this filter." : h("span", {}, "No runs yet. ", h("a", { href: "/new" }, "Train your own"), ".")));
    fill(jobs, ...(told.jobs.length ? [h("h2", {}, "Started from here"), ...told.jobs.map((job) => h("p", { class: "row" },
      h("span", { class: `state ${job.state}` }, job.state === "running" && told.runs.some((run) => run.run === job.run && run.state === "finished") ? "being measured" : job.state), h("a", { href: address("/run", { run: job.run }) }, job.run), job.why ? h("span", { class: "small" }, job.why) : null,
      job.state === "failed" ? null : h("button", { onclick: () => stop(job.run) }, job.state === "waiting" ? "Remove from the queue" : "Save and stop")))] : []));
  }

  async function stop(run) {
    try {
      await post("stop", { run });
      news(`${run}: saving, then stopping`);
    } catch (error) {
      news(error.message);
    }
  }

  async function again() {
    if (closed) return;
    try {
      const active = document.activeElement;
      told = await get("runs");
      if (closed) return;
      const now = JSON.stringify(told);
      if (now !== before) {
        const name = list.contains(active) ? active.getAttribute("aria-label") : null;
        draw();
        if (name) list.querySelector(`[aria-label="${CSS.escape(name)}"]`)?.focus();
      }
      before = now;
      timer = setTimeout(again, told.runs.some((run) => run.state === "not looked at yet") ? 50 : EVERY);
    } catch (error) {
      fill(head, failed(error));
      timer = setTimeout(again, EVERY);
    }
  }

  fill(stage, h("h1", {}, "Runs"), head, h("div", { class: "row tools" }, filter, grouping, comparing), jobs, list,
    h("p", { class: "small soft" }, "Quality: Frechet distance over that of as many real images (1: as close as real images are; \"of 2,000\" if only that many were measured), or test accuracy."));
  draw();
  timer = setTimeout(again, told.runs.some((run) => run.state === "not looked at yet") ? 50 : EVERY);
  return () => { closed = true; clearTimeout(timer); };
}
