// Studies: which there are, and one as it stands: a cell for each run, the verdicts, the arms.
import { address, failed, fill, get, h, said, table } from "./dom.js";

const EVERY = 5000;

export async function list(stage) {
  fill(stage, h("h1", {}, "Studies"), h("p", { class: "soft" }, "Reading the studies and their records ..."));
  const { studies } = await get("studies");
  fill(stage, h("h1", {}, "Studies"), studies.length
    ? h("div", { class: "cards" }, studies.map((study) => h("div", { class: "card" }, h("h2", {}, h("a", { href: address("/study", { study: study.study }) }, study.study)), h("p", {}, study.question), h("p", { class: "small soft" }, study.state))))
    : h("p", {}, "No study has been started in this folder. ", h("code", {}, "genlab study new quick-mnist --vary optimisers.both.lr=0.001,0.003"), " writes one, ", h("code", {}, "genlab study run FILE"), " runs it; it shows here while it runs."));
  return null;
}

export async function one(stage) {
  const name = said().get("study");
  let timer = null, closed = false, before = "";
  const trouble = h("div", {}), body = h("div", {}, h("h1", {}, "Study"), h("p", { class: "soft" }, "Reading its records ..."));
  fill(stage, trouble, body);

  function draw(told) {
    fill(body, h("h1", {}, name), h("p", {}, told.question), h("p", { class: "soft" }, told.lead), told.state ? h("p", { class: "error" }, told.state) : "",
      h("h2", {}, "Verdicts"), told.verdicts.length ? told.verdicts.map((verdict) => h("div", { class: "card claim" },
        h("h3", {}, verdict.says), h("p", {}, h("b", {}, verdict.answer), verdict.why ? `: ${verdict.why}` : "", verdict.share ? h("span", { class: "soft" }, ` (${verdict.share})`) : ""), h("p", {}, verdict.sentence),
        h("details", {}, h("summary", {}, "The numbers behind it"), h("dl", { class: "plain" }, verdict.facts.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])), verdict.source ? h("p", { class: "small soft" }, verdict.source) : null))) : h("p", {}, "This study states no claims to test: its answer is in the arms below."),
      h("h2", {}, "Runs"), table(told.runs, "One row per arm (a setting that is compared), one column per random seed: the state of each run."), told.remarks.map((words) => h("p", { class: "small soft" }, words)),
      h("h2", {}, "Arms"), table(told.arms), h("h2", {}, "Reproduce it"), h("pre", { class: "wrap" }, told.command));
  }

  async function again() {
    if (closed) return;
    try {
      const told = await get("study", { study: name }), now = JSON.stringify(told);
      if (now !== before && !closed) draw(told);
      before = now;
      fill(trouble);
    } catch (error) {
      if (!before) throw error;
      fill(trouble, failed(error));
    }
    timer = setTimeout(() => again().catch(() => {}), EVERY);
  }

  await again();
  return () => { closed = true; clearTimeout(timer); };
}
