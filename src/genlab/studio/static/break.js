// Four known failures to start on purpose, and to watch being named.
import { fill, get, h, news, post } from "./dom.js";
import { begun } from "./new.js";

export async function view(stage, go) {
  const { failures } = await get("recipes");
  fill(stage, h("h1", {}, "Break it"),
    h("p", {}, "Each of these goes wrong, in a minute or two. Start one, guess what the samples and the curves will do, and watch the diagnosis name it."),
    h("div", { class: "cards" }, failures.map((failure) => h("div", { class: "card" }, h("h2", {}, failure.name), h("p", {}, failure.words),
      h("pre", { class: "wrap" }, `genlab train ${failure.recipe} ${Object.entries(failure.overrides).map(([path, value]) => `--${path} ${value === null ? "null" : value}`).join(" ")}`),
      h("p", {}, h("button", { class: "main", onclick: async (event) => {
        event.target.disabled = true;
        try {
          const name = `broken-${failure.name.replaceAll(" ", "-")}-${Date.now().toString(36)}`.slice(0, 90);
          const told = await post("train", { recipe: failure.recipe, overrides: failure.overrides, name, seed: 0 });
          if (told.problems.length) throw new Error(told.problems[0].words);
          news(`${name}: it begins`);
          await begun(name, go);
        } catch (error) {
          news(error.message);
        }
        event.target.disabled = false;
      } }, "Break it"))))));
  return null;
}
