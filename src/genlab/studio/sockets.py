"""The WebSockets: updates of a run that is watched, pictures for sliders that are moved, the steps of a lesson.

A run that a hundred pages show is looked at once per second, not a hundred times. Only the newest slider position is
drawn: one that arrives during drawing replaces the one that was waiting.
"""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from genlab.data.pictures import to_uint8
from genlab.errors import DataError, GenlabError, UsageError
from genlab.runs.directory import RunDirectory
from genlab.studio import documents
from genlab.studio.addresses import parsed
from genlab.studio.explore import Place
from genlab.studio.folder import signs_of, unforeseen
from genlab.studio.follow import Follower
from genlab.studio.lesson import Lesson, as_json
from genlab.studio.state import Studio

EVERY = 1.0
"""Seconds between two looks at a watched run."""
JUMP = 400
"""Number of new rows beyond which a page is told to fetch its curves anew."""
LONGEST = 8192
"""Most characters of a message from a page."""


@dataclass(frozen=True)
class Look:
    """A run as it was found.

    Attributes:
        number: number of this look among those that found something new, from 1.
        signs: signs that tell whether its files have changed.
        rows: its rows; None if there is no such run, or none that can be read.
        state: what a page is told besides the rows: the run's state, and what is wrong with it.
    """

    number: int
    signs: tuple[Any, ...] | None
    rows: Follower | None
    state: dict[str, Any]


class Watch:
    """The runs that pages watch: one look per second at each, whatever the number of pages.

    A page gets the state of its run as soon as it asks, and again after each change, with the rows that it lacks; a
    page that does not keep up gets only the newest state.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._pages: dict[str, set[asyncio.Event]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks: dict[str, Look] = {}
        self._messages: dict[tuple[str, int, tuple[int, int]], asyncio.Task[tuple[tuple[int, int], str]]] = {}

    async def serve(self, socket: WebSocket) -> None:
        """Send a page what is new about its run, until it is closed.

        The page says which rows it has: `began` and `rows`, as received from `/api/curves`.
        """
        name, had = socket.query_params.get("run", ""), _had(socket.query_params)
        await socket.accept()
        came, number = asyncio.Event(), 0
        self._pages.setdefault(name, set()).add(came)
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._look(name))
        gone = asyncio.create_task(_closed(socket))
        gone.add_done_callback(lambda _: came.set())
        try:
            while not gone.done():
                came.clear()
                seen = self._looks.get(name)
                if seen is not None and seen.number != number:
                    number = seen.number
                    had, message = await self._message(name, seen, had)
                    await socket.send_text(message)
                    continue
                await came.wait()
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            gone.cancel()
            self._pages[name].discard(came)
            if not self._pages[name]:
                del self._pages[name]
                self._tasks.pop(name).cancel()
                self._forget(name)

    def _forget(self, name: str) -> None:
        """Forget what was seen of a run and the messages made from it."""
        self._looks.pop(name, None)
        self._messages = {key: value for key, value in self._messages.items() if key[0] != name}

    async def _look(self, name: str) -> None:
        while True:
            before = self._looks.get(name)
            try:
                seen = await run_in_threadpool(self._at, name, before)
            except GenlabError as error:
                seen = _unreadable(before, str(error).splitlines()[0])
            except Exception as error:  # Whatever a damaged run causes, its pages are told and looking goes on.
                seen = _unreadable(before, unforeseen(error))
            if seen is not before and seen is not None:
                self._forget(name)
                self._looks[name] = seen
                for came in self._pages.get(name, ()):
                    came.set()
            await asyncio.sleep(EVERY)

    def _at(self, name: str, before: Look | None) -> Look | None:
        """A look at the run now; the one before if nothing has changed."""
        run = self._studio.find(name)
        signs: tuple[Any, ...] = (str(run.path), *signs_of(run.path))
        last = None if before is None else before.state.get("status", {}).get("state")
        if before is not None and before.signs == signs and not (last == "running" and _ended(run)):
            return before
        rows = self._studio.folder.rows(run)
        state = documents.live(run) | {"columns": len(rows.columns)}
        now = (state["evaluations"], state["measured"], state["status"]["state"])
        if len(rows):  # The status is written with each checkpoint, rows more often.
            state["status"] |= documents.newest(state["status"], rows)
        # Diagnosis rules read everything: they run only if something was measured, began or ended.
        if before is not None and now == (before.state.get("evaluations"), before.state.get("measured"), last):
            state |= {key: before.state[key] for key in ("findings", "healthy", "unknown")}
        else:
            state |= documents.diagnosis_document(run, rows)
        return Look(1 if before is None else before.number + 1, signs, rows, state)

    async def _message(self, name: str, seen: Look, had: tuple[int, int]) -> tuple[tuple[int, int], str]:
        """The rows that a page has afterwards, and the message it gets; made once for all pages with the same rows."""
        key = (name, seen.number, had)
        if key not in self._messages:
            self._messages[key] = asyncio.create_task(run_in_threadpool(_made, seen, had))
        # A page that is closed must not disturb others that wait for the same message.
        return await asyncio.shield(self._messages[key])


def _made(seen: Look, had: tuple[int, int]) -> tuple[tuple[int, int], str]:
    if seen.rows is None:
        return had, json.dumps(seen.state)
    began, count, rows = seen.rows.since(had[1])
    anew = had[0] != began or count - had[1] > JUMP
    return (began, count), json.dumps({**seen.state, "rows": {} if anew else rows, "anew": anew})


def _had(query: QueryParams) -> tuple[int, int]:
    began, rows = (query.get(key, "") for key in ("began", "rows"))
    plain = all(text.isascii() and text.isdecimal() and len(text) <= 12 for text in (began, rows))
    return (int(began), int(rows)) if plain else (0, 0)


def _ended(run: RunDirectory) -> bool:
    """Whether a run that was training no longer is: if it was killed, no file says so."""
    try:
        return bool(run.status["state"] != "running")
    except DataError:
        return False


def _unreadable(before: Look | None, words: str) -> Look | None:
    state = {"error": words}
    if before is not None and before.state == state:
        return before
    return Look(1 if before is None else before.number + 1, None, None, state)


async def _closed(socket: WebSocket) -> None:
    """Return when the page is gone."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


class Lessons:
    """Lessons, each a game that a page plays by half-steps; at most `MOST` at once."""

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
    """The header's length, the header in JSON, then the pictures, whose sizes the header gives."""
    head = json.dumps({**header, "sizes": [len(each) for each in pictures]}).encode()
    return struct.pack(">I", len(head)) + head + b"".join(pictures)


class Moves:
    """Sliders that a page moves: the newest position is drawn as soon as the one before is."""

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
        """What a page gets: the pixels of the image and, for a conditional model, of the same z as every class.

        They come image by image, row by row, channels last: a browser shows that faster than it decodes a picture file.
        """
        number = told.get("id")
        header: dict[str, Any] = {"id": number if type(number) is int else 0}
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
        except Exception as error:  # As for addresses: a damaged run must not end a page's drawing.
            header["error"] = unforeseen(error)
        return _framed(header, [to_uint8(image).transpose(1, 2, 0).tobytes() for image in made])
