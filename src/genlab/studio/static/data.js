// A dataset: how many images of which class, what looks wrong, some of each.
import { address, fill, get, h, said, table } from "./dom.js";

export async function view(stage, go) {
  const { datasets } = await get("datasets"), name = said().get("name") || datasets[0];
  const choose = h("select", { "aria-label": "Dataset", onchange: () => go(address("/data", { name: choose.value })) }, datasets.map((each) => h("option", { value: each }, each)));
  choose.value = name;
  const body = h("div", {}, h("p", { class: "soft" }, "Checking every image ..."));
  fill(stage, h("h1", {}, "Data"), h("div", { class: "row tools" }, choose), body);
  const told = await get("data", { name });
  fill(body,
    told.refusal ? h("p", { class: "error" }, told.refusal) : "",
    told.findings.length ? [h("h2", {}, "What looks wrong"), h("ul", {}, told.findings.map((words) => h("li", {}, words)))] : h("p", {}, "Nothing looks wrong with it."),
    told.sheets.map((sheet) => h("figure", { class: "sheet" }, h("h2", {}, `Images of the ${sheet.split} split`), h("img", { src: sheet.png, alt: `Ten images of each class of the ${sheet.split} split` }))),
    h("h2", {}, "Facts"), table(told.facts, name), told.classes ? [h("h2", {}, "Classes"), table(told.classes, "Images of each class")] : "",
    h("p", { class: "small soft" }, "Your own dataset appears here once a run has been trained on it; genlab data check examines it before that."));
  return null;
}
