"""Speed of the studio, and what it costs a training beside it: `make studio`, about half an hour on idle cores.

- From a slider's input to the picture on screen, in headless Chromium: `MOVES` moves, alone and beside a training.
- How long the list of 500 runs and a run of 50,000 rows take to open.
- `PAGES` open pages of a run that trains: the studio's share of a core, response times, memory and descriptors; the
  weights of the same training with and without the pages; and the seconds per step in one long training, while the
  pages are opened and closed in turns of `WINDOW` seconds. A pair is two neighbouring windows, so that a shared machine
  has little time to change between them.
Results go to records/studio.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
from playwright.sync_api import Page, sync_playwright
from websockets.asyncio.client import connect
from websockets.typing import Origin

import genlab
from genlab.engine import seals
from genlab.evaluation.statistics import one_arm
from genlab.runs import checkpoint, provenance
from genlab.studio.shipped import shipped

RESULT = Path(__file__).parent / "records" / "studio.json"
MOVES, PAGES, RUNS, ROWS = 200, 100, 500, 50_000
STEPS, PAIRS = 1600, 40
WINDOW, SETTLES = 13.0, 3.0
"""Seconds of a window in which steps are counted, and seconds before it for the pages to open or close."""
WATCHED = {"data.name": "mnist", "budget.max_steps": STEPS, "budget.epochs": 1000, "logging.tensorboard": False,
           "logging.sample_every": 300, "logging.evaluation": "none", "networks.generator.ngf": 16,
           "networks.discriminator.ndf": 16}  # fmt: skip


class Studio:
    """A studio in a separate process."""

    def __init__(self, runs: Path) -> None:
        command = [sys.executable, "-m", "genlab", "studio", "--port", "0", "--no-browser", "--runs", str(runs)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", self.process.stdout.readline())
        assert found
        self.url, self.port, self.token = found[0], int(found[1]), found[2]
        self.base = f"http://127.0.0.1:{self.port}"

    def get(self, name: str, **query: Any) -> Any:
        address = f"{self.base}/api/{name}?{urlencode(query, doseq=True)}"
        with urlopen(Request(address, headers={"Cookie": f"genlab-{self.port}={self.token}"})) as answer:
            return json.load(answer)

    @property
    def seconds(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def holds(self) -> dict[str, int]:
        """Number of open descriptors, and resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        memory = re.search(r"VmRSS:\s+(\d+)", status)
        assert memory
        return {"descriptors": len(os.listdir(f"/proc/{self.process.pid}/fd")), "mb": int(memory[1]) // 1024}

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def studio(runs: Path) -> Iterator[Studio]:
    made = Studio(runs)
    try:
        yield made
    finally:
        made.close()


def training(runs: Path, name: str, steps: int = STEPS) -> subprocess.Popen[bytes]:
    """Start a training in a separate process."""
    fields = {**WATCHED, "budget.max_steps": steps}
    flags = [part for path, value in fields.items() for part in (f"--{path}", str(value).lower())]
    command = [sys.executable, "-m", "genlab", "train", "quick-mnist", "--name", name, "--runs", str(runs), *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    return {name: round(float(np.quantile(values, q)), digits) for name, q in (("median", 0.5), ("p95", 0.95))}


def moves(page: Page, served: Studio) -> dict[str, float]:
    """Milliseconds from a slider's input to the picture on screen."""
    page.goto(f"{served.base}/explore?run=digits-gan")
    page.wait_for_function("performance.getEntriesByName('slider to picture').length > 0")
    page.wait_for_timeout(1500)
    page.evaluate("performance.clearMeasures()")
    for k in range(MOVES):
        page.evaluate(
            "value => { const s = document.querySelector('.slider input'); s.value = value;"
            " s.dispatchEvent(new Event('input', {bubbles: true})); }",
            round(3 * random.uniform(-1, 1), 2),
        )
        page.wait_for_function("n => performance.getEntriesByName('slider to picture').length > n", arg=k)
        page.wait_for_timeout(20)
    return spread(page.evaluate("performance.getEntriesByName('slider to picture').map(each => each.duration)"))


def opening(page: Page, served: Studio, place: str, ready: str) -> float:
    """Seconds until a page shows the element `ready`."""
    began = time.perf_counter()
    page.goto(f"{served.base}{place}", wait_until="commit")
    page.wait_for_selector(ready)
    return round(time.perf_counter() - began, 2)


def large_folder(root: Path) -> None:
    """Make a folder of many runs, one of them with many rows."""
    source = shipped()[0]
    for k in range(RUNS):
        shutil.copytree(source, root / f"run-{k:03d}")
    long = root / "run-000" / "metrics.jsonl"
    row = json.loads(long.read_text().splitlines()[-1])
    row.pop("crc")
    rows = ({**row, "step": step, "loss_g": random.random()} for step in range(1, ROWS + 1))
    long.write_text("".join(json.dumps(seals.seal(each)) + "\n" for each in rows))


async def crowd(served: Studio, run: str, stop: asyncio.Event) -> list[float]:
    """Watch a run with `PAGES` pages; return the milliseconds of each request that is made every second meanwhile."""
    headers = {"Cookie": f"genlab-{served.port}={served.token}"}
    place = f"ws://127.0.0.1:{served.port}/ws/run?run={run}"

    async def one() -> None:
        async with connect(place, origin=Origin(served.base), additional_headers=headers) as wire:
            while not stop.is_set():
                try:
                    await asyncio.wait_for(wire.recv(), 1)
                except TimeoutError:
                    continue

    tasks, took = [asyncio.create_task(one()) for _ in range(PAGES)], []
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.to_thread(served.get, "run", run=run)
        took.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(1)
    await asyncio.gather(*tasks)
    return took


def weights(run: Path) -> str:
    """sha256 of the weights in the last checkpoint."""
    return hashlib.sha256((checkpoint.found(run / "checkpoints")[-1] / "model.safetensors").read_bytes()).hexdigest()


def newest(run: Path) -> tuple[int, float]:
    """(step, seconds of training) of the last row."""
    with (run / "metrics.jsonl").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
        row = json.loads(file.read().rpartition(b"\n")[0].splitlines()[-1])
    return row["step"], row["seconds"]


async def begun(runs: Path, name: str, steps: int = STEPS) -> subprocess.Popen[bytes]:
    """Start a training, and wait for its first rows."""
    process = await asyncio.to_thread(training, runs, name, steps)
    while not (runs / name / "metrics.jsonl").exists():
        await asyncio.sleep(0.2)
    return process


async def window(served: Studio, run: Path, crowded: bool) -> dict[str, Any]:
    """Milliseconds per step in the next window, with all pages open or none."""
    stop = asyncio.Event()
    people = asyncio.create_task(crowd(served, run.name, stop)) if crowded else None
    await asyncio.sleep(SETTLES)
    first, used, began = newest(run), served.seconds, time.monotonic()
    await asyncio.sleep(WINDOW)
    last, share = newest(run), (served.seconds - used) / (time.monotonic() - began)
    found = {"step_ms": 1000 * (last[1] - first[1]) / (last[0] - first[0]), "core_share": share, "holds": served.holds}
    stop.set()
    return found if people is None else {**found, "answers_ms": await people}


async def same_weights(served: Studio, root: Path) -> bool:
    """Whether a training ends with the same weights, watched by all pages or by none."""
    found = set()
    for name in ("alone", "watched"):
        process, stop = await begun(root, name), asyncio.Event()
        people = asyncio.create_task(crowd(served, name, stop)) if name == "watched" else None
        await asyncio.to_thread(process.wait)
        stop.set()
        if people is not None:
            await people
        found.add(weights(root / name))
    return len(found) == 1


def in_a_browser(root: Path) -> dict[str, Any]:
    """Times that a user sees: pictures under a slider, pages that open."""
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        with studio(root / "none") as served:
            page.goto(served.url)
            found["slider_ms"] = moves(page, served)
            print("slider", found["slider_ms"], flush=True)
        copied = root / "beside"
        for each in shipped():
            shutil.copytree(each, copied / each.name)
        with studio(copied) as served:
            process = training(copied, "trains")
            while not (copied / "trains" / "metrics.jsonl").exists():
                time.sleep(0.2)
            page.goto(served.url)
            found["slider_beside_training_ms"] = moves(page, served)
            process.terminate()
            process.wait()
            print("beside a training", found["slider_beside_training_ms"], flush=True)
        large_folder(root / "large")
        with studio(root / "large") as served:
            page.goto(served.url)
            page.wait_for_selector("canvas.pixels")
            page.wait_for_timeout(1000)
            found["list_of_500_s"] = opening(page, served, "/runs", "tbody tr")
            found["run_of_50000_rows_s"] = opening(page, served, "/run?run=run-000", ".u-over")
            print("list", found["list_of_500_s"], "rows", found["run_of_50000_rows_s"], flush=True)
        browser.close()
    return found


async def with_a_crowd(root: Path) -> dict[str, Any]:
    """What many watching pages cost a training and the studio."""
    with studio(root) as served:
        same = await same_weights(served, root)
        print("same weights", same, flush=True)
        process = await begun(root, "long", steps=10**6)
        windows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        try:
            for pair in range(PAIRS):
                for crowded in (pair % 2 == 0, pair % 2 == 1):
                    windows[crowded].append(await window(served, root / "long", crowded))
                ratio = windows[True][-1]["step_ms"] / windows[False][-1]["step_ms"]
                print("pair", round(ratio, 3), windows[True][-1]["holds"], flush=True)
        finally:
            process.terminate()
            process.wait()
    alone, many = ([each["step_ms"] for each in windows[which]] for which in (False, True))
    test = one_arm(np.log(many) - np.log(alone), 0.0)
    held = [each["holds"] for each in windows[True]]
    return {
        "pages": PAGES,
        "minutes": round(PAIRS * (WINDOW + SETTLES) / 60, 1),
        "step_ms": {"alone": spread(alone), "watched": spread(many)},
        "step_ratios": [round(a / b, 3) for a, b in zip(many, alone, strict=True)],
        "step_ratio": {
            "mean": round(float(np.exp(test.difference)), 3),
            "interval": [round(float(np.exp(end)), 3) for end in test.interval],
        },
        "same_weights": same,
        "core_share": spread([each["core_share"] for each in windows[True]], 3),
        "answers_ms": spread([value for each in windows[True] for value in each["answers_ms"]]),
        "held": {name: [each[name] for each in held[:: max(1, PAIRS // 8)]] for name in held[0]},
    }


def main() -> None:
    about = {
        "machine": provenance.machine_of(genlab.load_recipe("quick-mnist")),
        "versions": provenance.versions(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", action="store_true", help="measure only what 100 pages cost; the rest is kept")
    with tempfile.TemporaryDirectory() as folder:
        pictures = json.loads(RESULT.read_text()) if parser.parse_args().crowd else in_a_browser(Path(folder))
        found = {**pictures, **about, **asyncio.run(with_a_crowd(Path(folder) / "crowd"))}
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
