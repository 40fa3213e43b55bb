// Which view an address shows. Every view is an address, so that Back and a link work.
import { arrive, failed, fill, h } from "./dom.js";
import { view as explore } from "./explore.js";
import { view as runs } from "./runs.js";
import { view as run } from "./run.js";
import { view as compare } from "./compare.js";
import { view as fresh } from "./new.js";
import { view as broken } from "./break.js";
import { view as data } from "./data.js";
import { list as studies, one as study } from "./studies.js";
import { view as learn } from "./learn.js";

const VIEWS = {
  "/": { view: explore, page: "/explore", title: "Explore" },
  "/explore": { view: explore, page: "/explore", title: "Explore" },
  "/runs": { view: runs, page: "/runs", title: "Runs" },
  "/run": { view: run, page: "/runs", title: "Run" },
  "/compare": { view: compare, page: "/compare", title: "Compare" },
  "/new": { view: fresh, page: "/new", title: "New run" },
  "/data": { view: data, page: "/data", title: "Data" },
  "/studies": { view: studies, page: "/studies", title: "Studies" },
  "/study": { view: study, page: "/studies", title: "Study" },
  "/learn": { view: learn, page: "/learn", title: "Learn" },
  "/break": { view: broken, page: "/break", title: "Break it" },
};
const PAGES = [["/explore", "Explore"], ["/runs", "Runs"], ["/compare", "Compare"], ["/studies", "Studies"], ["/data", "Data"], ["/new", "New run"], ["/break", "Break it"], ["/learn", "Learn"]];

let leave = null;

export function go(place) {
  history.pushState(null, "", place);
  show();
}

async function show() {
  const main = document.getElementById("view"), here = VIEWS[location.pathname] || VIEWS["/"];
  arrive();
  if (leave) leave();
  leave = null;
  const stage = h("div", {});
  document.title = `${here.title} - genlab studio`;
  fill(document.getElementById("pages"), ...PAGES.map(([place, title]) =>
    h("li", {}, h("a", { href: place, "aria-current": here.page === place ? "page" : null }, title))));
  document.querySelector("#pages a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  fill(main, stage);
  try {
    const left = await here.view(stage, (place) => (stage.isConnected ? go(place) : null));
    if (stage.isConnected) leave = left;
    else if (left) left();
  } catch (error) {
    fill(stage, h("h1", {}, here.title), failed(error));
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.download || link.target) return;
  const place = new URL(link.href);
  if (place.origin !== location.origin || place.pathname.startsWith("/api/") || place.hash) return;
  event.preventDefault();
  go(place.pathname + place.search);
  document.getElementById("view").focus({ preventScroll: true });
  scrollTo(0, 0);
});
addEventListener("popstate", show);
if (new URLSearchParams(location.search).has("present")) sessionStorage.setItem("present", "1");
document.documentElement.classList.toggle("present", sessionStorage.getItem("present") === "1");
show();
