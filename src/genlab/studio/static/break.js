// Four known failures to start on purpose, and to watch being named.
import { fill, get, h, news, post } from "./dom.js";
import { begun } from "./new.js";

export async function view(stage, go) {
  const { failures } = await get("recipes");
  let closed = false;
  fill(stage, h("h1", {}, "Break it"),
    h("p", {}, "Each of these goes wrong, in a minute or two. Start one, guess what the samples and the curves will do, and watch the diagnosis name it."),
    h("div", { class: "cards" }, failures.map((failure) => h("div", { class: "card" }, h("h2", {}, failure.name), h("p", {}, failure.words),
      h("pre", { tabindex: "0" }, [`genlab train ${failure.recipe}`, ...Object.entries(failure.overrides).map(([path, value]) => `  --${path} ${value === null ? "null" : value}`)].join(" \\\n")),
      h("p", { class: "end" }, h("button", { class: "main", onclick: async (event) => {
        event.target.disabled = true;
        try {
          const name = `${failure.name.replaceAll(" ", "-")}-${new Date().toTimeString().slice(0, 8).replaceAll(":", "")}`;
          const told = await post("train", { recipe: failure.recipe, overrides: failure.overrides, name, seed: 0 });
          if (told.problems.length) throw new Error(told.problems[0].words);
          news(`${name}: starting`);
          const place = await begun(name, () => closed);
          if (place && !closed) go(place);
        } catch (error) {
          news(error.message);
        }
        event.target.disabled = false;
      } }, "Break it"))))));
  return () => { closed = true; };
}
