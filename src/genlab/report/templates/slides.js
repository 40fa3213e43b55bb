document.documentElement.classList.add("js");
for (const slides of document.querySelectorAll(".slides")) {
  const all = [...slides.querySelectorAll(".slide")], range = slides.querySelector("input"), said = slides.querySelector("output");
  const show = () => {
    all.forEach((slide, k) => slide.classList.toggle("on", k === Number(range.value)));
    said.textContent = all[range.value].dataset.label;
    range.setAttribute("aria-valuetext", said.textContent);
  };
  range.addEventListener("input", show);
  show();
}
const folded = () => document.querySelectorAll("details");
addEventListener("beforeprint", () => folded().forEach((part) => { part.dataset.was = part.open; part.open = true; }));
addEventListener("afterprint", () => folded().forEach((part) => { part.open = part.dataset.was === "true"; }));
