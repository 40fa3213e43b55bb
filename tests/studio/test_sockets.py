"""What many pages of one run cost: it is looked at once, and a message is made once."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from genlab.studio import sockets
from genlab.studio.shipped import shipped
from genlab.studio.sockets import Watch
from genlab.studio.state import Studio


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
    """A page that is closed while it is made takes it from no other one."""
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
        async with asyncio.timeout(1):  # A page that is closed is not waited for until there is something new.
            await asyncio.gather(*serving, return_exceptions=True)
        assert not watch._pages
        return pages

    pages = asyncio.run(watched())
    assert len(calls) == 1
    assert not pages[0].sent
    assert all(page.sent == pages[1].sent and len(page.sent) == 1 for page in pages[1:])
