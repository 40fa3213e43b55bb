"""Who may talk to the studio: everything that stands between a connection and the pages.

A page of another site that is open in the same browser can send requests to 127.0.0.1, too, and that site's own name
can be made to resolve to 127.0.0.1 (DNS rebinding). Hence the token, the list of hosts, and the rule on origins.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

READS = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 1 << 20
"""Most bytes of a request's body: the largest thing that a page sends is a drawn image."""
LONGEST_URL = 16_384
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every response: no script but the studio's own files, no request to anywhere else, no framing."""


PATIENCE = 20.0
"""Seconds without a byte after which a request's body is given up."""


class _Refused(Exception):
    """A body exceeded `LARGEST_BODY`, or did not arrive."""


class Guard:
    """An ASGI application that passes permitted requests on to another one.

    - Host: one header, naming this machine by one of its local names, with the port.
    - Token: in a cookie; it moves there once from the printed address, and disappears from the address bar.
    - Origin: every request that may change something, and every WebSocket, must come from a page of the studio.
    - Size: the lengths of addresses and bodies are limited.

    Args:
        app: the application that is guarded.
        token: the token in the printed address.
        port: the port that the studio listens on.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        # Cookies ignore the port: two studios would overwrite each other's.
        self._cookie = f"genlab-{port}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(scope, receive, send, *refusal)
        elif scope["type"] == "http" and self._brings_token(scope):
            await self._welcome(scope, send)
        elif not self._has_cookie(scope):
            words = "open the address that genlab studio printed: it holds the token that this page needs"
            await _answer(scope, receive, send, 401, words)
        else:
            await self._pass(scope, receive, send)

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        hosts = _all(scope, "host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 403, "this address is not the studio's own"
        if len(scope.get("raw_path", b"") or b"") + len(scope["query_string"]) > LONGEST_URL:
            return 414, "the address is too long"
        if scope["type"] == "http" and scope["method"] in READS:
            return None
        origins, sites = _all(scope, "origin"), _all(scope, "sec-fetch-site")
        if origins != [f"http://{hosts[0].lower()}"] or any(site != "same-origin" for site in sites):
            return 403, "this did not come from a page of the studio"
        if scope["type"] == "http":
            kinds = [kind.partition(";")[0].strip().lower() for kind in _all(scope, "content-type")]
            if kinds != ["application/json"]:
                return 415, "JSON is expected"
            lengths = _all(scope, "content-length")
            if any(not length.isdecimal() or int(length) > LARGEST_BODY for length in lengths):
                return 413, f"at most {LARGEST_BODY:,} bytes are accepted"
        return None

    def _has_cookie(self, scope: Message) -> bool:
        # Other programs on this machine set cookies here, too, possibly malformed ones.
        pairs = (pair.partition("=") for header in _all(scope, "cookie") for pair in header.split(";"))
        return any(name.strip() == self._cookie and self._is_token(value.strip()) for name, _, value in pairs)

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode(), self._token.encode())

    def _brings_token(self, scope: Message) -> bool:
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        return scope["method"] == "GET" and any(key == "token" and self._is_token(value) for key, value in query)

    async def _welcome(self, scope: Message, send: Send) -> None:
        """Move the token from the address into a cookie."""
        query = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
        # A path that begins with two slashes would lead to another host.
        place = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{urlencode(query)}" if query else "")
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        headers = {**HEADERS, "location": place, "set-cookie": cookie}
        await send({"type": "http.response.start", "status": 303, "headers": _raw(headers)})
        await send({"type": "http.response.body", "body": b""})

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        taken, started, whole = 0, False, False
        refusal: tuple[int, str] | None = None

        async def counted() -> Message:
            nonlocal taken, whole, refusal
            try:  # After the body, the next message says that the client is gone, which may take any time.
                message = await (receive() if whole else asyncio.wait_for(receive(), PATIENCE))
            except TimeoutError:
                refusal = 408, "the rest of the request did not arrive"
                raise _Refused from None
            whole = whole or not message.get("more_body")
            taken += len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if taken > LARGEST_BODY:
                refusal = 413, f"at most {LARGEST_BODY:,} bytes are accepted"
                raise _Refused
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if refusal is not None and not started:
                return  # The pages' response to a body that they did not get.
            if message["type"] == "http.response.start":
                started = True
                own = {key.lower() for key, _ in message.get("headers", [])}
                more = [pair for pair in _raw(HEADERS) if pair[0] not in own]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        with suppress(_Refused):
            await self._app(scope, counted if scope["type"] == "http" else receive, dressed)
        if refusal is not None and not started:
            await _answer(scope, receive, send, *refusal)


def _all(scope: Message, name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name.encode()]


def _raw(headers: MutableMapping[str, str] | dict[str, str]) -> list[tuple[bytes, bytes]]:
    pairs: Iterable[tuple[str, str]] = headers.items()
    return [(key.encode(), value.encode()) for key, value in pairs]


async def _answer(scope: Message, receive: Receive, send: Send, status: int, words: str) -> None:
    """Refuse, with one line of text."""
    if scope["type"] == "websocket":
        await receive()  # The server must report the connection before it can be told to close it.
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {**HEADERS, "content-type": "text/plain; charset=utf-8"}
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": f"genlab studio: {words}\n".encode()})
