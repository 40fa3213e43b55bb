"""The studio as a web application, and its server on this machine's own address."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import resources
from pathlib import PurePath
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol

from genlab.errors import BusyError, DataError, GenlabError, StorageError, UsageError
from genlab.studio import addresses
from genlab.studio.addresses import Download, Png, parsed
from genlab.studio.folder import unforeseen
from genlab.studio.guard import PATIENCE, Guard
from genlab.studio.sockets import Lessons, Moves, Watch
from genlab.studio.state import NotThere, Studio

PAGES = ("/", "/explore", "/runs", "/run", "/compare", "/data", "/new", "/break", "/studies", "/study", "/learn")
"""Addresses of the single page; its script reads from the address which view to show."""
KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
STATUS: tuple[tuple[type[GenlabError], int], ...] = (
    (NotThere, 404),
    (UsageError, 422),
    (BusyError, 429),
    (DataError, 404),
    (StorageError, 507),
    (GenlabError, 409),
)
MOST_CONNECTIONS = 600
LONGEST_UPGRADE = 8_000
"""Most bytes of a WebSocket's address: websockets accepts no line of more than 8,192."""
TEND = 1.0
"""Seconds between two looks at the queue."""


def application(studio: Studio) -> Starlette:
    """The pages and addresses; who may use them is decided elsewhere (`guard`)."""
    files = _files()

    async def page(request: Request) -> Response:
        return Response(files["index.html"], media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return _refusal(NotThere("no such file"))
        return Response(files[name], media_type=KINDS[PurePath(name).suffix])

    async def moves(socket: WebSocket) -> None:
        await Moves(studio, socket).serve()

    @asynccontextmanager
    async def alive(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_quietly, args=(studio.look,), daemon=True).start()
        tending = asyncio.create_task(_tend(studio))
        yield
        tending.cancel()
        studio.close()

    return Starlette(
        routes=[
            *(Route(path, page) for path in PAGES),
            Route("/static/{name}", static),
            *_routes(studio),
            WebSocketRoute("/ws/run", Watch(studio).serve),
            WebSocketRoute("/ws/explore", moves),
            WebSocketRoute("/ws/learn", Lessons(studio).serve),
        ],
        lifespan=alive,
    )


async def _tend(studio: Studio) -> None:
    """Start waiting jobs as soon as they may run, whether or not a page is open."""
    while True:
        with suppress(GenlabError, OSError):
            await run_in_threadpool(studio.jobs.tend)
        await asyncio.sleep(TEND)


def _quietly(work: Callable[[], None]) -> None:
    """Call a function and drop its errors: whoever asks for the same later is told what is wrong."""
    with suppress(GenlabError, OSError):
        work()


def _routes(studio: Studio) -> Iterator[Route]:
    """A route for each function of `addresses`; those that draw run on the drawing thread."""
    for table, run in ((addresses.READS, run_in_threadpool), (addresses.DRAWN, studio.draw)):
        for name, work in table.items():

            async def read(request: Request, work: addresses.Reads = work, run: Any = run) -> Response:
                return await _answered(run(work, studio, request.query_params))

            yield Route(f"/api/{name}", read)
    for posted, run in ((addresses.POSTED, run_in_threadpool), (addresses.POSTED_AND_DRAWN, studio.draw)):
        for name, change in posted.items():

            async def post(request: Request, change: addresses.Changes = change, run: Any = run) -> Response:
                try:  # Not part of the answer: the guard handles a body that does not arrive.
                    body = await request.body()
                except ClientDisconnect:
                    return Response(status_code=400)  # Nobody receives it.

                async def done() -> Any:
                    return await run(change, studio, parsed(body))

                return await _answered(done())

            yield Route(f"/api/{name}", post, methods=["POST"])


async def _answered(work: Awaitable[Any]) -> Response:
    """The response of an address, as JSON, a picture or a download; an error as one line, with its status."""
    try:
        found = await work
    except GenlabError as error:
        return _refusal(error)
    except OSError as error:  # A run was moved or deleted while it was read.
        return _refusal(NotThere(f"it was removed while being read ({error.strerror})"))
    except Exception as error:  # Whatever damaged files cause, the page is told.
        logging.getLogger("genlab.studio").exception("a request could not be answered")
        return _json({"error": unforeseen(error)}, 500)
    if isinstance(found, Png):
        return Response(bytes(found), media_type="image/png")
    if isinstance(found, Download):
        headers = {"content-disposition": 'attachment; filename="latent-space.html"'}
        return Response(bytes(found), media_type="application/octet-stream", headers=headers)
    return _json(found, 200)


def _refusal(error: GenlabError) -> Response:
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return _json({"error": str(error).splitlines()[0]}, status)


def _json(value: Any, status: int) -> Response:
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def _files() -> Mapping[str, bytes]:
    """The pages' files, read once: an address never leads to the disk."""
    folder = resources.files("genlab.studio") / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if PurePath(each.name).suffix in KINDS}


class _Impatient(H11Protocol):
    """A connection that is closed if no request arrives on it, or if one is begun and not finished."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen: object = None
        self._wait()

    def _wait(self) -> None:
        self._late = self.loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._seen is self.cycle:
            self.transport.close()
        elif not self.transport.is_closing():
            self._seen = self.cycle
            self._wait()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._late.cancel()
        if len(event.target) > LONGEST_UPGRADE:  # More than the handshake accepts: it would wait for the rest forever.
            self.transport.write(b"HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()
            return
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)


def listening(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 stands for any free port.

    Raises:
        StorageError: the port is taken, or needs more rights.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(("127.0.0.1", port))
        opened.listen(128)  # Connections that come before the pages are ready wait for them.
    except OSError as error:
        opened.close()
        raise StorageError(
            f"port {port}: {error.strerror}; choose another one, or --port 0 for any free port"
        ) from None
    return opened


def serve(studio: Studio, opened: socket.socket, token: str) -> None:
    """Answer requests until interrupted."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # What is loaded stays. Garbage collection that skips it is short, and frequent enough that hours of opening and
    # closing pages take no more memory.
    gc.freeze()
    gc.collect()
    config = uvicorn.Config(
        Guard(application(studio), token, opened.getsockname()[1]),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(PATIENCE),
        timeout_graceful_shutdown=2,
        limit_concurrency=MOST_CONNECTIONS,
        http=_Impatient,
        ws="websockets-sansio",
        ws_max_size=1 << 16,
        ws_per_message_deflate=False,  # Nothing leaves this machine.
        h11_max_incomplete_event_size=1 << 15,
    )
    uvicorn.Server(config).run(sockets=[opened])


def new_token() -> str:
    """A token that opens this studio, and nothing else."""
    return secrets.token_urlsafe(24)
