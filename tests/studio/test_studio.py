"""A studio in its own process: what its addresses answer, what they refuse, and what survives its end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

import genlab
from conftest import SMALL
from genlab.api.run import Run
from genlab.data.pictures import to_uint8
from genlab.engine import seals
from genlab.errors import UsageError
from genlab.runs.directory import RunDirectory
from genlab.runs.listing import size
from genlab.runs.verify import verify
from genlab.studio.documents import evaluation_document
from genlab.studio.explore import Explorer, Explorers, Place
from genlab.studio.jobs import started
from genlab.studio.shipped import shipped
from genlab.training.minutes import REACHED
from served import HOSTILE, Served, until


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file and folder, with its size and the time of its last change."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        found[str(path)] = (facts.st_size, facts.st_mtime_ns)
    return found


READS = (
    "/", "/explore?run=vae&z=0:1", "/run?run=gan", "/static/app.js", "/static/uplot.js", "/api/runs",
    "/api/run?run=watched",
    "/api/curves?run=watched&column=loss_d&column=frechet_distance", "/api/sample?run=watched&step=8",
    "/api/sample?run=watched&step=real", "/api/evaluation?run=watched&step=7", "/api/compare?run=gan&run=watched",
    "/api/recipes", "/api/recipe?recipe=quick-mnist", "/api/log?run=gan", "/api/explore?run=vae",
    "/api/explore?run=classifier",
    "/api/draw?run=vae&what=map", "/api/draw?run=gan&what=grid", "/api/draw?run=gan&what=classes",
    "/api/draw?run=vae&what=path&steps=5&place=" + quote('{"toward": 4}'), "/api/ask?run=gan", "/api/ask?run=vae",
)  # fmt: skip


def test_whatever_is_read_changes_nothing(served: Served) -> None:
    before = state_of(served.runs)
    for path in READS:
        first, again = served.ask(path), served.ask(path)
        assert first[0] == 200, (path, first[1])
        assert first[1] == again[1] or path == "/api/runs", path
        assert "default-src 'none'" in first[2]["content-security-policy"]
        assert first[2]["x-content-type-options"] == "nosniff"
    assert state_of(served.runs) == before


def test_the_list_names_every_run_and_says_which_is_damaged(served: Served) -> None:
    runs = {run["run"]: run for run in served.get("runs")["runs"]}
    assert set(runs) == {"gan", "watched", "vae", "classifier", "damaged", f"{HOSTILE}/gan"}
    assert runs["damaged"]["state"] == "damaged"
    assert runs["gan"]["state"] == "finished"
    assert runs["watched"]["course"]["column"] == "frechet_distance"
    status, found, _ = served.ask("/api/run?run=damaged")
    assert status == 404
    assert "damaged" in found["error"]


def test_a_run_is_told_as_its_files_have_it(served: Served) -> None:
    told, run = served.get("run", run="watched"), Run(served.runs / "watched")
    assert told["status"]["step"] == 12
    assert told["samples"] == run.steps("samples", ".png")
    assert {curve["column"] for plot in told["plots"] for curve in plot["curves"]} >= {"loss_d", "frechet_distance"}
    rows = run.metrics()
    found = served.get("curves", run="watched", column=["loss_d", "frechet_distance"])["curves"]
    assert found["loss_d"]["x"] == [row["step"] for row in rows if "loss_d" in row]
    assert found["frechet_distance"]["y"] == [row["frechet_distance"] for row in rows if "frechet_distance" in row]
    # Nothing is drawn that was not measured then: the step that is meant is said.
    assert told["evaluations"] == [4, 6, 8, 12]
    assert [served.get("evaluation", run="watched", step=step)["step"] for step in (1, 5, 9, 12)] == [4, 4, 8, 12]
    _, picture, _ = served.ask("/api/sample?run=watched&step=8")
    assert picture == run.file("samples", 8, ".png").read_bytes()
    assert served.ask("/api/sample?run=watched&step=7")[0] == 404


def test_runs_are_compared_as_genlab_compare_does(served: Served) -> None:
    told = served.get("compare", run=["gan", "watched"])
    assert told["unmeasured"] == ["gan", "watched"]
    assert {table["heading"] for table in told["tables"]} >= {"What differs", "Runs", "Machine and time"}
    curve = next(each for each in told["curves"] if "Generator" in each["title"])
    assert [line["run"] for line in curve["lines"]] == ["gan", "watched"]
    assert served.ask("/api/compare?run=gan")[0] == 422
    assert served.ask("/api/compare?run=gan&run=none")[0] == 404


def pixels_of(content: bytes) -> Any:
    import io

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def test_a_place_is_drawn_as_the_library_draws_it(served: Served) -> None:
    run = Run(served.runs / "vae")
    expected = (run.sample(6)[5, 0].numpy() * 255).round()
    _, png, _ = served.ask("/api/draw?run=vae&place=" + quote('{"seed": 5}'))
    assert np.abs(pixels_of(png).astype(float) - expected).max() <= 1
    # A unit that is moved stands where it was put; the same as a point of the map's z.
    sliders = served.get("explore", run="vae")
    assert (sliders["units"], [each["name"] for each in sliders["sliders"]]) == (True, ["unit 1", "unit 2"])
    assert served.get("explore", run="gan")["units"] is False
    shared = np.asarray(pixels_of(served.ask("/api/draw?run=gan&what=classes&place=" + quote('{"seed": 3}'))[1]))
    asked = pixels_of(served.ask("/api/draw?run=gan&place=" + quote('{"seed": 3, "label": 2}'))[1])
    assert np.array_equal(shared[:, 2 * 34 : 2 * 34 + 32], asked)


async def _watched(served: Served, query: str, seconds: float, until: str = "") -> list[dict[str, Any]]:
    """What a page that watches a run is sent in some seconds, or until a message has a word."""
    headers = {"Cookie": f"genlab-{served.port}={served.token}"}
    place = f"ws://127.0.0.1:{served.port}/ws/run?{query}"
    found = []
    async with connect(place, origin=Origin(served.base), additional_headers=headers) as wire:
        with contextlib.suppress(TimeoutError):
            while True:
                text = str(await asyncio.wait_for(wire.recv(), seconds))
                found.append(json.loads(text))
                if until and until in text:
                    break
    return found


def test_every_page_that_watches_a_run_gets_all_of_it(served: Served, tmp_path: Path) -> None:
    async def two() -> list[list[dict[str, Any]]]:
        first = asyncio.create_task(_watched(served, "run=watched", 4))
        await asyncio.sleep(2)
        return [await _watched(served, "run=watched", 2), await first]

    for messages in asyncio.run(two()):
        assert len(messages) == 1  # Nothing changes: it is told once.
        assert messages[0]["status"]["state"] == "finished"
        assert {"findings", "healthy", "unknown"} <= messages[0].keys()
    rows = served.get("curves", run="watched", column="loss_d")
    for had, new in ((rows["rows"], 0), (rows["rows"] - 2, 2)):
        query = f"run=watched&began={rows['began']}&rows={had}"
        (message,) = asyncio.run(_watched(served, query, 2))
        assert (len(message["rows"].get("step", [])), message["anew"]) == (new, False)
    (message,) = asyncio.run(_watched(served, "run=watched&began=99&rows=1", 2))
    assert message["anew"]
    (message,) = asyncio.run(_watched(served, "run=nobody", 2))
    assert "no such run" in message["error"]


def test_what_was_readable_and_is_no_more_is_told_from_what_never_was(tmp_path: Path) -> None:
    run = shutil.copytree(next(path for path in shipped() if path.name == "digits-gan"), tmp_path / "run")
    names = sorted(path.name for path in (run / "evaluations").glob("step-*.json"))[:3]
    shares = {"a": (0.95, 0.5, 0.9), "b": (0.95, 0.97, 0.1), "c": (0.2, 0.3, 0.4), "d": (0.9, 0.9, 0.9)}
    for k, name in enumerate(names):
        record = json.loads((run / "evaluations" / name).read_text())
        record.pop("crc")
        for row, told in zip(record["classes"], shares.values(), strict=False):
            row["requested_class_accuracy"] = told[k]
        (run / "evaluations" / name).write_text(json.dumps(seals.seal(record)))
    for later in sorted(path.name for path in (run / "evaluations").glob("step-*.json"))[3:]:
        (run / "evaluations" / later).unlink()
    steps = [int(name[5:11]) for name in names]
    classes = {row["class"]: row for row in evaluation_document(RunDirectory(run), steps[-1])["classes"]}
    found = [(row["since"], row["lost"]) for _, row in sorted(classes.items())][:4]
    assert found == [(steps[2], False), (None, True), (None, False), (steps[0], False)]


def test_a_training_that_is_killed_is_seen_to_be(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = shutil.copytree(served.runs / "gan", root / "gan")
    status = json.loads((run / "status.json").read_text())
    status.pop("crc")
    (run / "status.json").write_text(json.dumps(seals.seal({**status, "state": "running"})))
    studio = Served(root)

    async def killed() -> list[str]:
        watched = asyncio.create_task(_watched(studio, "run=gan", 10, until='"killed"'))
        await asyncio.sleep(2.5)
        held.close()
        return [message["status"]["state"] for message in await watched]

    try:
        with (run / "run.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert asyncio.run(killed()) == ["running", "killed"]
    finally:
        studio.close()


def test_weights_that_were_trained_anew_are_drawn_anew(served: Served, tmp_path: Path) -> None:
    run = shutil.copytree(served.runs / "gan", tmp_path / "gan")
    explorers = Explorers()
    place = Place()
    first = explorers.of(RunDirectory(run), None)
    assert explorers.of(RunDirectory(run), None) is first
    before = first.image(place)
    shutil.rmtree(run)
    changes = {**SMALL, "data.name": first.recipe.data.name, "budget.max_steps": 12, "budget.batch": 16}
    changes |= {"logging.tensorboard": False, "logging.evaluation": "none"}
    genlab.train("quick-mnist", overrides=changes, seed=7, runs=tmp_path, name="gan", progress=False)
    assert not torch.equal(explorers.of(RunDirectory(run), None).image(place), before)


def test_d_sees_an_image_in_the_company_that_it_had_in_training() -> None:
    """The package's GAN has a D that sees how much the images of a group differ: alone, each looks like a collapse."""
    run = next(path for path in shipped() if path.name == "digits-gan")
    explorer = Explorer(RunDirectory(run), None)
    assert explorer.recipe.together == 4  # type: ignore[union-attr]
    alone = explorer._scored(torch.from_numpy(to_uint8(explorer.image(Place(label=3)))), torch.tensor([3]))
    told = [explorer.score(Place(seed=seed, label=seed % 10)) for seed in range(20)]
    assert float(alone[0]) < min(each["logit"] for each in told)
    # Of a good model's images real ones score lower about half the time.
    assert 0.2 < np.mean([each["above"] for each in told]) < 0.8


def test_what_is_typed_wrongly_is_said(served: Served) -> None:
    for value in ("2020-13-01", "!!int x", "[1,", "{a: b}"):
        told = served.ask("/api/check", "POST", {"recipe": "quick-mnist", "overrides": {"data.name": value}})
        assert told[0] == 422, told
    beyond = json.dumps({"label": 99})
    assert served.ask(f"/api/ask?run=gan&place={quote(beyond)}")[0] == 200
    served.post("read", run="vae", example=1, label=99)
    for place in ("/ws/run?run=" + "a" * 9000, "/ws/explore?x=" + "%41" * 4000):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
            asks = f"GET {place} HTTP/1.1\r\nHost: evil\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            line.sendall((asks + key).encode())
            assert line.recv(4096)[9:12] == b"414"


QUICK = """
import sys
from genlab.studio import jobs
here = "import sys; print(sys.argv[1:], flush=True); sys.exit(0 if 'first' in sys.argv else 3)"
jobs.Jobs.__init__.__defaults__ = (1, (sys.executable, "-c", here))
from genlab.cli.main import main
main()
"""


def test_the_queue_goes_on_though_nobody_looks(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    studio = Served(root, program=("-c", QUICK))
    try:
        told: dict[str, Any] = {"recipe": "quick-mnist", "overrides": {}, "seed": 0}
        for name in ("first", "second", "third"):
            studio.post("train", name=name, **told)
        until(lambda: (root / ".studio" / "third.log").exists() and (root / ".studio" / "third.log").read_text())
        time.sleep(1.5)
        jobs = studio.get("runs")["jobs"]
        assert {job["run"]: job["state"] for job in jobs} == {"second": "failed", "third": "failed"}
        assert all("quick-mnist" in job["why"] for job in jobs)
    finally:
        studio.close()


async def _moved(served: Served, *messages: Any) -> list[dict[str, Any]]:
    headers = {"Cookie": f"genlab-{served.port}={served.token}"}
    found = []
    place = f"ws://127.0.0.1:{served.port}/ws/explore"
    async with connect(place, origin=Origin(served.base), additional_headers=headers) as wire:
        for message in messages:
            await wire.send(json.dumps(message))
        with contextlib.suppress(TimeoutError, WebSocketException):
            while True:
                data = await asyncio.wait_for(wire.recv(), 3)
                assert isinstance(data, bytes)
                (length,) = struct.unpack(">I", data[:4])
                header = json.loads(data[4 : 4 + length])
                found.append(header)
                if header["id"] == messages[-1]["id"]:
                    break
    return found


def test_of_many_slider_positions_the_newest_is_drawn(served: Served) -> None:
    served.get("explore", run="gan")
    moves = [{"id": k, "run": "gan", "place": {"moves": {"0": k / 100}}} for k in range(300)]
    found = asyncio.run(_moved(served, *moves))
    assert found[-1]["id"] == 299
    assert found[-1]["values"] == [2.99, 0.0]
    assert len(found) < 300
    assert [each["id"] for each in found] == sorted(each["id"] for each in found)


@pytest.mark.parametrize(
    "message",
    [{"run": "none"}, {"run": 7}, {"run": "gan", "place": {"seed": -1}}, {"run": "gan", "place": {"moves": {"x": 1}}},
     {"run": "gan", "place": {"moves": {"0": 1e9}}}, {"run": "gan", "place": 3, "step": "x"}, {"run": "damaged"},
     {"run": "gan", "place": {"seed": 10**30}}, {"run": "classifier"}],
)  # fmt: skip
def test_a_strange_slider_is_a_line(served: Served, message: Any) -> None:
    (found,) = asyncio.run(_moved(served, {"id": 1, **message}))
    assert ("error" in found) is (message.get("place") != 3)


def test_an_image_is_read_by_a_classifier_and_an_encoder(served: Served, digits: Path) -> None:
    told = served.post("read", run="classifier", example=3)
    assert sum(told["probabilities"]) == pytest.approx(1, abs=1e-3)
    again = served.post("read", run="classifier", side=told["side"], pixels=told["pixels"])
    assert again["probabilities"] == told["probabilities"]
    code = served.post("read", run="vae", example=0)
    assert len(code["code"]) == 2
    assert code["png"].startswith("data:image/png;base64,")
    for side, pixels in ((0, []), (2, [1, 2, 3]), (1, [256]), (10**6, [0]), (1, ["0"]), (1, [True]), (1, 7)):
        wrong = {"run": "classifier", "side": side, "pixels": pixels}
        assert served.ask("/api/read", "POST", wrong)[0] == 422
    assert served.ask("/api/read", "POST", {"run": "gan", "example": 0})[0] == 422


CANARY = "the-canary-sings"
OUTSIDE = (
    "../outside", "..%2foutside", "%2e%2e/outside", "%252e%252e%252foutside", "..\\outside", "/etc/passwd",
    "//etc/passwd", "gan/../../outside", "gan\0", "\\\\host\\share", "file:///etc/passwd", "runs-of-others",
    "gan/../damaged", ".", "..", "", "%c0%ae%c0%ae/outside", "gan/samples",
)  # fmt: skip


def test_no_name_leads_out_of_the_folder(served: Served) -> None:
    for other in ("outside", "runs-of-others"):
        folder = served.runs.parent / other
        if not folder.exists():
            shutil.copytree(served.runs / "gan", folder)
            (folder / "samples" / "real.png").write_text(CANARY)
            (folder / "recipe.yaml").write_text(CANARY)
    for name in OUTSIDE:
        once, twice = quote(name, safe=""), quote(quote(name, safe=""), safe="")
        keys = ("run?run", "sample?step=real&run", "recipe?run", "sample?run=gan&step")
        paths = [f"/api/{key}={text}" for text in (once, twice) for key in keys]
        for path in [*paths, f"/static/{once}", f"/static/{twice}", f"/static/{quote(name)}", f"/{quote(name)}"]:
            status, found, _ = served.ask(path)
            assert status in (400, 404, 422) or path in ("/", "/."), (path, status)
            assert CANARY not in str(found)
            assert "root:" not in str(found)


def test_a_link_in_a_run_shows_nothing_from_outside(served: Served, tmp_path: Path) -> None:
    run = served.runs.parent / "linked"
    if not run.exists():
        shutil.copytree(served.runs / "gan", run)
    secret = tmp_path / "secret.png"
    secret.write_text(CANARY)
    real = run / "samples" / "real.png"
    real.unlink()
    real.symlink_to(secret)
    studio = Served(run.parent / "linked")
    try:
        status, found, _ = studio.ask("/api/sample?run=.&step=real")
        assert status in (404, 422)
        assert CANARY not in str(found)
    finally:
        studio.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b"null", b'"x"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000, b'{"seed": NaN}',
     b'{"recipe": "quick-mnist", "seed": 1e999}', b'{"recipe": 3}', b'{"recipe": "quick-mnist", "overrides": []}',
     b'{"recipe": "quick-mnist", "overrides": {"a": {"b": 1}}}', b'{"recipe": "quick-mnist", "seed": -1}',
     b'{"recipe": "quick-mnist", "name": 5}', b'{"recipe": "../../x"}', b'{"run": "../outside"}',
     b'{"recipe": "quick-mnist", "overrides": {"x": "' + b"y" * 5000 + b'"}}',
     b'{"recipe": "quick-mnist", "overrides": {"budget.batch": "!!python/object/apply:os.system [id]"}}'],
)  # fmt: skip
def test_a_strange_body_is_refused_in_a_line(served: Served, body: bytes) -> None:
    before, began = state_of(served.runs), time.monotonic()
    for name in ("check", "train", "resume", "stop", "read"):
        status, found, _ = served.ask(f"/api/{name}", "POST", body)
        assert status in (400, 404, 422), (name, found)
        assert set(found) == {"error"}
    assert time.monotonic() - began < 5
    assert state_of(served.runs) == before


def test_what_is_wrong_stands_at_its_field(served: Served) -> None:
    changes = {"budget.epochs": "0", "objective.loss": "hingee", "budget.batch": "many"}
    told = served.post("check", recipe="quick-mnist", overrides=changes, name="gan", seed=0)["problems"]
    assert {each["path"] for each in told} == {"budget.epochs", "objective.loss", "budget.batch", "name"}
    assert next(each["words"] for each in told if each["path"] == "objective.loss").endswith("did you mean 'hinge'?")
    missing = served.post("check", recipe="quick-mnist", overrides={"data.name": "/no/such.npz"}, name="new", seed=0)
    assert [each["path"] for each in missing["problems"]] == ["data.name"]
    sound = served.post("check", recipe="quick-mnist", overrides={"budget.epochs": "9"}, name="", seed=0)
    assert sound["problems"] == []
    assert missing["expected"] is None
    assert re.fullmatch(
        r"8,433 steps, about \d+ (s|minutes) on this machine if nothing else runs, and then .*\.", sound["expected"]
    )
    as_it_is = served.post("check", recipe="quick-mnist", overrides={}, name="", seed=0)["expected"]
    assert as_it_is.endswith(
        f"; a Frechet distance of {REACHED['quick-mnist'].itself:.2g} x that of real images is to be expected."
    )
    in_time = served.post("check", recipe="quick-mnist", overrides={"budget.minutes": "3"}, name="", seed=0)
    assert in_time["expected"] == "About 3 minutes: as many steps as fit into them on this machine."
    for name in ("../x", "a/b", "CON", "-x", "x" * 300, "a\nb"):
        told = served.post("train", recipe="quick-mnist", overrides={}, name=name, seed=0)["problems"]
        assert [each["path"] for each in told] == ["name"]
    assert served.post("train", recipe="quick-mnist", overrides={}, name="", seed=0)["problems"]


def test_idle_and_half_open_connections_leave_room_for_others(served: Served) -> None:
    idle = []
    try:
        for k in range(300):
            line = socket.create_connection(("127.0.0.1", served.port))
            if k % 2:
                line.sendall(b"POST /api/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
            idle.append(line)
        began = time.monotonic()
        assert served.ask("/api/runs")[0] == 200
        assert time.monotonic() - began < 5
    finally:
        for line in idle:
            line.close()


IMPATIENT = """
from genlab.studio import guard, server
guard.PATIENCE = server.PATIENCE = 0.5
from genlab.cli.main import main
main()
"""


def test_who_asks_nothing_or_does_not_finish_is_sent_away(tmp_path: Path) -> None:
    studio = Served(tmp_path, program=("-c", IMPATIENT))
    asks = f"POST /api/check HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\n".encode()
    known = f"Cookie: genlab-{studio.port}={studio.token}\r\nOrigin: {studio.base}\r\n".encode()
    whole = asks + known + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    try:
        for said, answer in ((b"", b""), (asks, b""), (whole + b"{}", b"408")):
            with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
                line.sendall(said)
                assert line.recv(4096)[9:12] == answer
        chunked = asks + known + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
            for _ in range(20):
                chunked += b"10000\r\n" + b" " * 65536 + b"\r\n"
            line.sendall(chunked)
            assert line.recv(4096)[9:12] == b"413"
        with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as line:
            line.sendall(whole + b"{}       ")
            assert line.recv(4096)[9:12] == b"422"  # An answer, and nothing more is asked.
            while line.recv(4096):
                pass
    finally:
        studio.close()


def test_a_run_may_vanish_while_it_is_shown(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(served.runs / "gan", root / "here")
    shutil.copytree(served.runs / "watched", root / "stays")
    studio = Served(root)
    try:
        assert studio.get("run", run="here")["status"]["state"] == "finished"
        studio.get("explore", run="here")
        (root / "here").rename(root / "moved")
        assert studio.ask("/api/run?run=here")[0] == 404
        assert studio.ask("/api/draw?run=here")[0] == 404
        assert studio.get("run", run="moved")["status"]["step"] == 12
        shutil.rmtree(root / "moved" / "samples")
        (root / "moved" / "status.json").write_text("x")
        assert studio.get("run", run="moved")["status"]["state"] == "damaged"
        assert {run["run"]: run["state"] for run in studio.get("runs")["runs"]} == {
            "moved": "damaged",
            "stays": "finished",
        }
        shutil.rmtree(root)
        assert {run["run"] for run in studio.get("runs")["runs"]} == {path.name for path in shipped()}
    finally:
        studio.close()


def test_a_folder_that_may_only_be_read_is_shown(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(served.runs / "gan", root / "gan")
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    studio = Served(root)
    try:
        assert len(studio.get("runs")["runs"]) == 1
        assert studio.get("run", run="gan")["status"]["state"] == "finished"
        assert studio.ask("/api/draw?run=gan")[0] == 200
    finally:
        studio.close()
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)


LONG: dict[str, Any] = {
    **SMALL, "budget.epochs": 100_000, "engine.threads": 1, "logging.sample_epochs": [], "logging.metrics_every": 50,
}  # fmt: skip


def test_a_training_outlives_its_studio_and_only_its_own_are_stopped(digits: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    studio = Served(root)
    told = {"recipe": "quick-mnist", "overrides": {**LONG, "data.name": str(digits)}, "seed": 3}
    assert studio.post("train", name="first", **told) == {"run": "first", "problems": []}
    studio.post("train", name="second", **told)
    assert [job["state"] for job in studio.get("runs")["jobs"]] == ["running", "waiting"]
    until(lambda: (root / "first" / "metrics.jsonl").exists())
    job = json.loads((root / ".studio" / "first.json").read_text())
    studio.kill()
    time.sleep(0.5)
    assert started(job["pid"]) == job["started"]
    again = Served(root)
    try:
        # A process number that was given anew is another process's: it is never stopped.
        other = {"run": "other", "pid": os.getpid(), "started": "1"}
        (root / ".studio" / "other.json").write_text(json.dumps(other))
        assert [each["run"] for each in again.get("runs")["jobs"]] == ["first"]
        assert again.ask("/api/stop", "POST", {"run": "other"})[0] == 422
        assert until(lambda: again.get("run", run="first")["status"]["step"] > 0)
        again.post("stop", run="first")
        until(lambda: started(job["pid"]) is None)
        state = again.get("run", run="first")["status"]
        assert (state["state"], again.get("runs")["jobs"]) == ("interrupted", [])
        assert "--resume" in again.get("log", run="first")["lines"][-1]
        again.post("resume", run="first")
        until(lambda: again.get("run", run="first")["status"]["step"] > state["step"])
        again.post("stop", run="first")
        until(lambda: not again.get("runs")["jobs"])
        assert Run(root / "first").metrics()[-1]["step"] > state["step"]
    finally:
        again.close()


def test_where_no_process_tells_when_it_began_own_children_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genlab.studio import jobs as module

    monkeypatch.setattr(module, "started", lambda pid: None)
    # A shell's background job, and so its children, ignore Ctrl-C; a training listens all the same.
    waits = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('ready', flush=True); signal.pause()"
    command = (sys.executable, "-c", waits)
    jobs, other = module.Jobs(tmp_path, command=command), module.Jobs(tmp_path, command=command)
    jobs.start("mine", [])
    with pytest.raises(UsageError, match="mine trains already"):
        jobs.start("mine", [])
    assert [job["run"] for job in jobs.listing()] == ["mine"]
    assert other.listing() == []
    with pytest.raises(UsageError):
        other.stop("mine")
    until(lambda: jobs.log("mine") == ["ready"])
    jobs.stop("mine")
    until(lambda: jobs.listing() == [])


def test_jobs_have_an_end(tmp_path: Path) -> None:
    from genlab.errors import BusyError
    from genlab.studio.jobs import WAITING, Jobs

    jobs = Jobs(tmp_path, at_once=0)
    for k in range(WAITING):
        jobs.start(f"run-{k}", [])
    with pytest.raises(BusyError):
        jobs.start("one more", [])
    jobs.stop("run-3")
    assert len(jobs.listing()) == WAITING - 1
    assert not (tmp_path / ".studio").exists()


def test_the_runs_in_the_package_are_small_and_whole() -> None:
    assert sum(size(path) for path in shipped()) < 6_000_000
    for path in shipped():
        run = Run(path)
        assert verify(run.directory).damages == []
        assert run.evaluation is not None
        documents = {"diagnosis.json", "metrics.jsonl", "provenance.json", "recipe.yaml", "status.json"}
        assert {file.name for file in path.iterdir()} == documents | {"checkpoints", "evaluations", "samples"}


def test_an_empty_folder_shows_them_and_is_left_alone(tmp_path: Path) -> None:
    studio = Served(tmp_path / "none")
    try:
        told = studio.get("runs")
        assert told["shipped"]
        assert {run["run"]: run["state"] for run in told["runs"]} == {
            "digits-gan": "finished",
            "digits-vae": "finished",
        }
        assert (studio.get("explore", run="digits-vae")["units"], studio.ask("/")[0]) == (True, 200)
        assert studio.ask("/api/draw?run=digits-vae&what=map")[0] == 200
    finally:
        studio.close()
    assert size(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_studies_and_datasets_are_shown_as_they_stand(served: Served) -> None:
    (listed,) = served.get("studies")["studies"]
    assert listed == {"study": "lr", "question": "Which rate?", "state": "4 of 4 runs done; complete"}
    told = served.get("study", study="lr")
    assert [row[0] for row in told["runs"]["rows"]] == ["low", "high"]
    assert told["runs"]["rows"][0][1:] == ["done", "done"]
    for name in ("../lr", "broken", "", "lr.yaml"):
        assert served.ask(f"/api/study?study={quote(name)}")[0] == 404
    names = served.get("datasets")["datasets"]
    assert names[:1] == ["mnist"]
    assert any(name.endswith("digits.npz") for name in names)
    letters = served.get("data", name="letters")
    assert [sheet["split"] for sheet in letters["sheets"]] == ["train", "test"]
    assert len(letters["classes"]["rows"]) == 26
    for name in ("/etc/passwd", "../x", str(served.runs.parent / "outside")):
        assert served.ask(f"/api/data?name={quote(name)}")[0] == 404
