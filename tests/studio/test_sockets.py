"""Pages that watch a run or move sliders: what each receives, and that many cost little more than one."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import shutil
import struct
import time
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from genlab.engine import seals
from genlab.studio import sockets
from genlab.studio.shipped import shipped
from genlab.studio.sockets import Watch
from genlab.studio.state import Studio
from served import Served


class Page:
    """A page's end of a socket."""

    def __init__(self, run: str) -> None:
        self.query_params = QueryParams({"run": run})
        self.sent: list[dict[str, Any]] = []
        self.closed = asyncio.Event()

    async def accept(self) -> None: ...

    async def receive(self) -> dict[str, str]:
        await self.closed.wait()
        raise WebSocketDisconnect

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))


def test_a_message_is_made_once_for_all_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a page closes while a message is being made, all others still receive it."""
    run = shutil.copytree(shipped()[0], tmp_path / "run")
    made = sockets._made
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        time.sleep(0.3)
        return made(*arguments)

    monkeypatch.setattr(sockets, "_made", counted)
    monkeypatch.setattr(sockets, "EVERY", 0.1)

    async def watched() -> list[Page]:
        watch, pages = Watch(Studio(tmp_path)), [Page(run.name) for _ in range(30)]
        serving = [asyncio.create_task(watch.serve(cast(WebSocket, page))) for page in pages]
        while not calls:
            await asyncio.sleep(0.01)
        serving[0].cancel()
        async with asyncio.timeout(20):
            while not all(page.sent for page in pages[1:]):
                await asyncio.sleep(0.01)
        for page in pages:
            page.closed.set()
        async with asyncio.timeout(1):  # A closed page ends at once, not at the next change.
            await asyncio.gather(*serving, return_exceptions=True)
        assert not watch._pages
        return pages

    pages = asyncio.run(watched())
    assert len(calls) == 1
    assert not pages[0].sent
    assert all(page.sent == pages[1].sent and len(page.sent) == 1 for page in pages[1:])


async def _watched(served: Served, query: str, seconds: float, until: str = "") -> list[dict[str, Any]]:
    """Messages to a page that watches a run, until one contains `until` or none comes for `seconds`."""
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
        assert len(messages) == 1  # Nothing changes, so there is one message.
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
