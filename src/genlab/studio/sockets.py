"""The sockets: a run that is watched sends what is new, sliders that are moved get their pictures, a lesson its steps.

A run that a hundred pages show is looked at once a second, not a hundred times. Of slider positions only the newest is
drawn: one that came while another was being drawn replaces what waited.
"""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from genlab.data.pictures import to_uint8
from genlab.errors import GenlabError, UsageError
from genlab.studio import documents
from genlab.studio.addresses import parsed
from genlab.studio.explore import Place
from genlab.studio.folder import signs_of
from genlab.studio.lesson import Lesson, as_json
from genlab.studio.state import Studio

EVERY = 1.0
"""Seconds between two looks at a run that is watched."""
JUMP = 400
"""New rows at once from which a page had better fetch its curves anew."""
LONGEST = 8192
"""Bytes of a message about sliders."""


class Noted(NamedTuple):
    """Of a run that is watched: how often its file of rows began, how many there were, what else there was."""

    began: int
    rows: int
    evaluations: list[int]
    state: str


class Watch:
    """The runs that pages watch: one look a second at each, whatever the number of pages."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._pages: dict[str, set[asyncio.Queue[str]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def serve(self, socket: WebSocket) -> None:
        """Send a page what is new of its run, until it is closed."""
        name = socket.query_params.get("run", "")
        await socket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue(8)
        self._pages.setdefault(name, set()).add(queue)
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._look(name))
        gone = asyncio.create_task(_closed(socket))
        try:
            while not gone.done():
                news = asyncio.create_task(queue.get())
                await asyncio.wait({gone, news}, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    await socket.send_text(news.result())
                else:
                    news.cancel()
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            gone.cancel()
            self._pages[name].discard(queue)
            if not self._pages[name]:
                del self._pages[name]
                self._tasks.pop(name).cancel()

    async def _look(self, name: str) -> None:
        signs: Any = None
        seen: Noted | None = None
        while True:
            try:
                run = self._studio.find(name)
                now = await run_in_threadpool(signs_of, run.path)
                if now != signs or seen is None:
                    signs = now
                    seen, message = await run_in_threadpool(self._news, name, seen)
                    self._send(name, message)
            except GenlabError as error:
                self._send(name, json.dumps({"error": str(error).splitlines()[0]}))
                signs = None
            await asyncio.sleep(EVERY)

    def _news(self, name: str, seen: Noted | None) -> tuple[Noted, str]:
        """What was seen now, and what is new since."""
        run = self._studio.find(name)
        rows = self._studio.folder.rows(name, run)
        news: dict[str, Any] = {**documents.live(run), "rows": {}, "anew": False}
        if seen is not None and seen.began == rows.began and len(rows) - seen.rows <= JUMP:
            news["rows"] = rows.since(seen.rows)
        elif seen is not None:
            news["anew"] = True
        now = Noted(rows.began, len(rows), news["evaluations"], news["status"]["state"])
        # Rules look at everything: they are asked where something was measured, or began or ended.
        if seen is None or (seen.evaluations, seen.state) != (now.evaluations, now.state):
            news |= documents.diagnosis_document(run, rows)
        return now, json.dumps(news)

    def _send(self, name: str, message: str) -> None:
        for queue in self._pages.get(name, ()):
            if queue.full():  # A page that does not keep up fetches everything once it does.
                queue.get_nowait()
                message = json.dumps({"anew": True})
            queue.put_nowait(message)


async def _closed(socket: WebSocket) -> None:
    """Return when the page is gone."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


class Lessons:
    """Half-steps of a game that a page plays; at most `MOST` at once."""

    MOST = 4

    def __init__(self, studio: Studio) -> None:
        self._studio, self._open = studio, 0

    async def serve(self, socket: WebSocket) -> None:
        """Play until the page is closed."""
        await socket.accept()
        if self._open >= self.MOST:
            await socket.send_text(json.dumps({"error": f"{self.MOST} lessons are open; close one of them"}))
            await socket.close()
            return
        self._open += 1
        try:
            lesson = await self._studio.draw(Lesson)
            await socket.send_bytes(_framed(*await self._studio.draw(as_json, lesson)))
            while True:
                text = await socket.receive_text()
                await socket.send_bytes(await self._studio.draw(self._answer, lesson, text[:LONGEST]))
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            self._open -= 1

    def _answer(self, lesson: Lesson, text: str) -> bytes:
        try:
            told = parsed(text.encode())
            times = told.get("times", 1)
            if told.get("undo"):
                lesson.undo()
            elif told.get("player") not in ("D", "G", "both") or type(times) is not int:
                raise UsageError("player: D, G or both; times: a whole number")
            elif told["player"] == "both":
                lesson.rounds(times)
            else:
                lesson.move(told["player"], times)
        except GenlabError as error:
            return _framed({"error": str(error).splitlines()[0]}, [])
        return _framed(*as_json(lesson))


def _framed(header: dict[str, Any], pictures: list[bytes]) -> bytes:
    """A header in JSON behind its length, then pictures, whose sizes it has."""
    head = json.dumps({**header, "sizes": [len(each) for each in pictures]}).encode()
    return struct.pack(">I", len(head)) + head + b"".join(pictures)


class Moves:
    """Sliders that a page moves: the newest position is drawn, as soon as the one before is."""

    def __init__(self, studio: Studio, socket: WebSocket) -> None:
        self._studio, self._socket = studio, socket
        self._newest: dict[str, Any] | None = None
        self._came = asyncio.Event()

    async def serve(self) -> None:
        """Draw until the page is closed."""
        await self._socket.accept()
        drawing = asyncio.create_task(self._draw())
        try:
            while True:
                text = await self._socket.receive_text()
                if len(text) > LONGEST:
                    break
                self._newest = parsed(text.encode())
                self._came.set()
        except (WebSocketDisconnect, RuntimeError, GenlabError, KeyError):
            pass
        finally:
            drawing.cancel()
            with suppress(RuntimeError):
                await self._socket.close()

    async def _draw(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            told, self._newest = self._newest, None
            if told is not None:
                await self._socket.send_bytes(await self._studio.draw(self._made, told))

    def _made(self, told: dict[str, Any]) -> bytes:
        """What a page gets: the pixels of the image, and of the same z as every class, which is asked for by class.

        Image by image, row by row, each pixel its channels: a browser shows that sooner than it reads a picture file.
        """
        header: dict[str, Any] = {"id": told.get("id")}
        made: list[Any] = []
        try:
            step = told.get("step")
            run = self._studio.find(told.get("run"))
            opened = self._studio.explorers.of(run, step if type(step) is int else None)
            given = told.get("place")
            place = Place.of(given if isinstance(given, dict) else {})
            if opened.recipe.conditional:
                images = opened.classes(place)
                made = [*images[min(place.label, len(images) - 1)][None], *images]
            else:
                made = [*opened.image(place)]
            header |= {"values": opened.values(place), "shape": list(made[0].shape)}
        except GenlabError as error:
            header["error"] = str(error).splitlines()[0]
        return _framed(header, [to_uint8(image).transpose(1, 2, 0).tobytes() for image in made])
