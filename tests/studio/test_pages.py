"""Pages in a real browser show what they should, on a desktop and a phone, and request nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect, sync_playwright

from conftest import SMALL
from genlab.api.run import Run
from genlab.engine import seals
from genlab.runs.directory import RunDirectory
from genlab.studio.explore import Explorer
from genlab.studio.handout import handout
from genlab.studio.shipped import shipped
from served import HOSTILE, Served, until

DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 640}
PAGES = (
    "/explore?run=gan", "/explore?run=vae", "/explore?run=classifier", "/runs", "/run?run=watched",
    "/run?run=classifier", "/compare?run=gan&run=watched", "/compare", "/new", "/new?from=watched", "/break", "/learn",
    "/data?name=letters", "/studies", "/study?study=lr",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, "these tests need a browser: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visitor:
    """A browser at a studio, which notes whatever goes wrong on a page."""

    def __init__(self, browser: Browser, studio: Served, size: Any = DESK, scheme: Any = "light") -> None:
        self.context: BrowserContext = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        self.studio = studio
        self.wrong: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._asked)
        self.page.goto(studio.url)

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.studio.base + "/", "data:", f"blob:{self.studio.base}/")):
            self.wrong.append(f"a request to {request.url}")

    def go(self, place: str) -> Page:
        self.page.goto(self.studio.base + place)
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.get_by_text("Loading ...")).to_have_count(0)
        return self.page


@pytest.fixture(params=[(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def visitor(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    made = Visitor(browser, served, *request.param)
    yield made
    made.context.close()
    assert made.wrong == []


def test_every_page_stands_alone_and_can_be_used_by_everybody(visitor: Visitor) -> None:
    assert "token" not in visitor.page.url
    axe = Axe()
    for place in PAGES:
        page = visitor.go(place)
        page.wait_for_load_state("networkidle")
        found = axe.run(page).response["violations"]
        grave = [
            (each["id"], each["nodes"][0]["html"][:150]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert grave == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], place  # type: ignore[index]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_can_be_read_by_everybody(browser: Browser, finished: Run, scheme: Any) -> None:
    """The drawing of a system is made for white paper, so it stays white in the dark."""
    context = browser.new_context(viewport=DESK, color_scheme=scheme)
    page = context.new_page()
    page.goto((finished.path / "report.html").as_uri())
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    drawing = "getComputedStyle(document.querySelector('.drawing'))"
    assert page.evaluate(f"{drawing}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{drawing}.getPropertyValue('--line')") == "#dfe3e8"
    context.close()


def test_a_slider_moves_the_image_and_the_address(visitor: Visitor) -> None:
    page = visitor.go("/explore?run=vae&z=0:1.5")
    slider = page.get_by_label("unit 1", exact=True)
    expect(slider).to_have_value("1.5")
    before = page.evaluate("document.querySelector('canvas.pixels').toDataURL()")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("before => document.querySelector('canvas.pixels').toDataURL() !== before", arg=before)
    page.wait_for_url(re.compile(r"z=0%3A1\.3"))
    place = page.url
    page.goto("about:blank")
    page.goto(place)
    expect(page.get_by_label("unit 1", exact=True)).to_have_value("1.3")
    expect(page.get_by_text("What is nearby")).to_be_visible()
    expect(page.get_by_text("Map of z")).to_be_visible()
    page.get_by_role("button", name="Interpolate to another z").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save this interpolation").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_one_step_slider_moves_everything_and_back_works(visitor: Visitor) -> None:
    page = visitor.go("/runs")
    page.get_by_role("link", name="watched", exact=True).click()
    expect(page.get_by_role("heading", name="watched")).to_be_visible()
    expect(page.get_by_text("Frechet distance").first).to_be_visible()
    slider = page.get_by_label("Step of the samples")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".scrub output")).to_have_text("step 4")
    page.wait_for_url(re.compile("step=4"))
    assert "step=4" in str(page.locator("img.pixels").first.get_attribute("src"))
    expect(page.get_by_text("samples, at step 4")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()


def test_a_long_curve_shows_each_logged_step_where_one_looks_closer(browser: Browser, tmp_path: Path) -> None:
    run = shutil.copytree(shipped()[0], tmp_path / "long")
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    row = {name: row[name] for name in ("epoch", "images", "seconds", "loss_g")}
    rows = [seals.seal({**row, "step": step, "loss_g": step % 7}) for step in range(1, 10_001)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    studio = Served(tmp_path)
    visitor = Visitor(browser, studio)
    try:
        page = visitor.go("/run?run=long")
        page.wait_for_load_state("networkidle")
        chart = page.locator(".chart", has_text="mean of 9 logged steps").first
        box = chart.locator(".u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 50, steps=4)
        page.mouse.up()
        closer = page.locator(".chart").first
        expect(closer).not_to_contain_text("mean of 9 logged steps")
        expect(closer.locator(".legend")).to_contain_text(re.compile(r"step [56],\d\d\d"))
        closer.locator(".u-over").dblclick()
        expect(closer).to_contain_text("mean of 9 logged steps")
    finally:
        visitor.context.close()
        studio.close()
    assert visitor.wrong == []


def test_a_page_that_saw_a_run_begin_shows_all_of_it_in_the_end(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    whole, run = served.runs / "watched", tmp_path / "runs" / "watched"
    run.mkdir(parents=True)
    for name in ("recipe.yaml", "provenance.json"):
        shutil.copy(whole / name, run)
    status = json.loads((whole / "status.json").read_text())
    status.pop("crc")
    created = {**status, "state": "created", "step": 0, "seconds": None}
    (run / "status.json").write_text(json.dumps(seals.seal(created)))
    studio = Served(tmp_path / "runs")
    visitor = Visitor(browser, studio)
    try:
        page = visitor.go("/run?run=watched")
        expect(page.get_by_text("No samples yet")).to_be_visible()
        expect(page.locator("img.pixels:visible")).to_have_count(0)
        for name in ("metrics.jsonl", "samples", "evaluations", "checkpoints", "snapshots", "status.json"):
            if (whole / name).is_dir():
                shutil.copytree(whole / name, run / name)
            elif (whole / name).exists():
                shutil.copy(whole / name, run)
        expect(page.get_by_role("link", name="Explore", exact=True)).to_have_count(2)
        expect(page.locator(".state").first).to_have_text("finished")
        expect(page.locator("dt", has_text="training")).to_be_visible()
        expect(page.get_by_text("Frechet distance").first).to_be_visible()
        expect(page.get_by_label("Play the samples over training")).to_be_enabled()
        expect(page.get_by_text("Real images in the same layout")).to_be_visible()
        studio.kill()
        expect(page.get_by_text("The studio does not answer")).to_be_visible(timeout=10_000)
    finally:
        visitor.context.close()
        studio.kill()
    assert [words for words in visitor.wrong if "ERR_CONNECTION" not in words] == []


def test_a_view_that_was_left_does_nothing_any_more(browser: Browser, served: Served) -> None:
    visitor = Visitor(browser, served)
    page = visitor.go("/run?run=gan")
    page.wait_for_load_state("networkidle")
    opened: list[str] = []
    page.on("websocket", lambda wire: opened.append(wire.url))
    held: list[Route] = []
    page.route("**/api/explore?*", lambda route: held.append(route))
    page.get_by_role("link", name="Explore", exact=True).last.click()
    while not held:
        page.wait_for_timeout(50)
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    with page.expect_response("**/api/explore?*"):
        held[0].continue_()
    page.wait_for_timeout(1000)
    assert (opened, page.url) == ([], f"{served.base}/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    visitor.context.close()
    assert visitor.wrong == []


def test_names_from_runs_are_text(visitor: Visitor) -> None:
    page = visitor.go("/runs")
    expect(page.get_by_role("link", name=f"{HOSTILE}/gan", exact=True)).to_be_visible()
    page.get_by_role("link", name=f"{HOSTILE}/gan", exact=True).click()
    expect(page.get_by_role("heading", name="gan", exact=True)).to_be_visible()
    page.get_by_role("link", name="Explore", exact=True).last.click()
    expect(page.locator("canvas.pixels").first).to_be_visible()
    visitor.go("/runs?filter=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    visitor.go("/run?run=%3Cimg%20src%3Da%20onerror%3Dalert(1)%3E")
    expect(page.get_by_role("alert")).to_contain_text("there is no such run")
    visitor.wrong = [words for words in visitor.wrong if "404" not in words]


def test_somebody_draws_and_a_classifier_answers(browser: Browser, served: Served) -> None:
    visitor = Visitor(browser, served)
    page = visitor.go("/explore?run=classifier")
    box = page.get_by_label("Draw here").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 110, box["y"] + 200, steps=5)
    page.mouse.up()
    expect(page.get_by_text("What the classifier says")).to_be_visible()
    page.get_by_role("button", name="A test image").click()
    expect(page.locator(".bars svg")).to_have_count(10)
    visitor.context.close()
    assert visitor.wrong == []


def test_a_half_step_is_made_covered_and_undone(browser: Browser, served: Served) -> None:
    visitor = Visitor(browser, served)
    page = visitor.go("/learn")
    expect(page.get_by_text("0 half-steps")).to_be_visible()
    page.keyboard.press("d")
    expect(page.get_by_text("D moved: it gave real images")).to_be_visible()
    page.keyboard.press(".")
    expect(page.get_by_text("What happens next?")).to_be_visible()
    page.keyboard.press(".")
    page.keyboard.press("g")
    expect(page.get_by_text("G moved: D is the same")).to_be_visible()
    expect(page.locator(".near img")).to_have_count(3)
    page.keyboard.press("u")
    expect(page.get_by_text("1 half-step; 1 can be undone.")).to_be_visible()
    visitor.context.close()
    assert visitor.wrong == []


def test_a_hand_out_follows_a_finger_without_a_studio(browser: Browser, tmp_path: Path) -> None:
    for name in ("digits-vae", "digits-gan"):
        run = next(path for path in shipped() if path.name == name)
        content = handout(Explorer(RunDirectory(run), None))
        assert len(content) < 1_000_000
        file = tmp_path / f"{name}.html"
        file.write_bytes(content)
        context = browser.new_context(viewport=PHONE, has_touch=True, offline=True)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(file.as_uri())
        shown = "document.getElementById('shown').toDataURL()"
        before = page.evaluate(shown)
        box = page.locator("#field").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + 20, box["y"] + 20)
        assert page.evaluate(shown) != before
        assert page.locator("#said").inner_text() == ("0" if name == "digits-gan" else "")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        context.close()


def test_a_training_that_cannot_begin_says_why(browser: Browser, served: Served) -> None:
    visitor = Visitor(browser, served)
    page = visitor.go("/new?recipe=quick-mnist")
    failed = {"there": False, "jobs": [{"run": "mine", "state": "failed", "why": "no space left"}], "lines": []}
    page.route("**/api/train", lambda route: route.fulfill(json={"run": "mine", "problems": []}))
    page.route("**/api/log?*", lambda route: route.fulfill(json=failed))
    expect(page.get_by_text("3,748 steps")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("no space left")).to_be_visible()
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    visitor.context.close()


def test_a_training_is_started_watched_and_named(browser: Browser, digits: Path, tmp_path: Path) -> None:
    studio = Served(tmp_path)
    try:
        visitor = Visitor(browser, studio)
        page = visitor.go("/new?recipe=quick-mnist&set.optimisers.generator.lr=-1")
        expect(page.get_by_text("optimisers.generator.lr is -1; allowed: more than 0")).to_be_visible()
        expect(page.get_by_role("button", name="Start training")).to_be_disabled()
        changes = {**SMALL, "data.name": str(digits), "optimisers.generator.lr": 3, "optimisers.discriminator.lr": 3,
                   "budget.epochs": 40, "engine.threads": 1, "logging.sample_every": 40, "ema": None}  # fmt: skip
        page.get_by_text("The whole recipe").click()
        for path, value in changes.items():
            field = page.locator(f'[id="field-{path}"]')
            if field.count():
                text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
                if field.evaluate("field => field.tagName") == "SELECT":
                    field.select_option(text)
                else:
                    field.fill(text)
        page.get_by_label("Name of the run").fill("mine")
        expect(page.get_by_role("button", name="Start training")).to_be_enabled()
        page.get_by_role("button", name="Start training").click()
        page.wait_for_url(re.compile("run=mine"), timeout=60_000)
        expect(page.locator(".finding.fault").first).to_contain_text("learning rate", timeout=60_000, ignore_case=True)
        until(lambda: studio.get("run", run="mine")["status"]["state"] in ("finished", "failed"))
        visitor.context.close()
        assert [words for words in visitor.wrong if "404" not in words] == []
    finally:
        studio.close()
