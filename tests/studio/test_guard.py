"""Who may talk to the studio (hosts, tokens, origins, sizes): only requests from its own pages get through."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from genlab.studio.guard import HEADERS, LARGEST_BODY, Guard

PORT, TOKEN = 7860, "a-token-that-nobody-guesses"
HERE = f"127.0.0.1:{PORT}"
COOKIE = f"genlab-{PORT}={TOKEN}"


class Inner:
    """The application behind the guard, which notes what reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope.get("method", "websocket"))
        if scope["type"] == "http":
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body[:3]})


def ask(
    inner: Inner,
    method: str = "GET",
    path: str = "/runs",
    query: str = "",
    chunks: tuple[bytes, ...] = (b"",),
    kind: str = "http",
    **headers: Any,
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body); for a WebSocket, the status is its close code, or 0 if it was not refused."""
    given = {"host": HERE, "cookie": COOKIE, **headers}
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, vs in given.items() if vs is not None
             for v in ([vs] if isinstance(vs, str) else vs)]  # fmt: skip
    scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": pairs,
    }  # fmt: skip
    if kind == "websocket":
        del scope["method"]
    queue = [
        {"type": "http.request", "body": chunk, "more_body": k < len(chunks) - 1} for k, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return queue.pop(0) if kind == "http" else {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Guard(inner, TOKEN, PORT)(scope, receive, send))
    if kind == "websocket":
        return (sent[0]["code"] if sent else 0), {}, b""
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:])


def test_what_belongs_here_gets_through_and_is_dressed() -> None:
    inner = Inner()
    for host in (HERE, f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"):
        status, headers, _ = ask(inner, host=host)
        assert status == 200
        assert HEADERS.items() <= headers.items()
    assert "script-src 'self'" in HEADERS["content-security-policy"]
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert len(inner.reached) == 4


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.com", f"evil.com:{PORT}", "127.0.0.1", "127.0.0.1:80", f"192.168.0.7:{PORT}", f"0.0.0.0:{PORT}",
        f"localhost.evil.com:{PORT}", f"{HERE}@evil.com", f"evil.com@{HERE}", f"{HERE}.evil.com", [HERE, "evil.com"],
        [HERE, HERE], f"127.0.0.1:{PORT}, evil.com", f"127.1:{PORT}",
    ],
)  # fmt: skip
def test_no_other_host_gets_an_answer(host: Any) -> None:
    inner = Inner()
    assert ask(inner, host=host)[0] == 403
    assert ask(inner, host=host, query=f"token={TOKEN}")[0] == 403
    assert ask(inner, kind="websocket", host=host, origin=f"http://{HERE}")[0] == 1008
    assert inner.reached == []


@pytest.mark.parametrize(
    "cookie",
    [None, "", "genlab-7860=", "genlab-7860=wrong", f"genlab-7861={TOKEN}", f"x={TOKEN}", f"{TOKEN}", "\x00;=;"],
)
def test_without_the_token_nothing_gets_through(cookie: Any) -> None:
    inner = Inner()
    status, headers, body = ask(inner, cookie=cookie)
    assert status == 401
    assert TOKEN.encode() not in body
    assert HEADERS.items() <= headers.items()
    assert ask(inner, cookie=cookie, query="token=wrong")[0] == 401
    assert ask(inner, kind="websocket", cookie=cookie, origin=f"http://{HERE}")[0] == 1008
    # A token in the URL lets no request through that may change something.
    posted: dict[str, Any] = {"origin": f"http://{HERE}", "content_type": "application/json"}
    assert ask(inner, "POST", cookie=cookie, query=f"token={TOKEN}", **posted)[0] == 401
    assert inner.reached == []


@pytest.mark.parametrize("others", ['theme={"a":1}', "x=a b c", "a[b]=1", "novalue", "=", "\u00fc=1"])
def test_cookies_of_other_programs_do_no_harm(others: str) -> None:
    for cookie in (f"{others}; {COOKIE}", f"{COOKIE}; {others}"):
        assert ask(Inner(), cookie=cookie)[0] == 200


def test_the_token_leaves_the_address_for_a_cookie() -> None:
    inner = Inner()
    status, headers, _ = ask(inner, path="/run", query=f"run=a%26b&token={TOKEN}&step=3", cookie=None)
    assert (status, headers["location"]) == (303, "/run?run=a%26b&step=3")
    assert headers["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert headers["referrer-policy"] == "no-referrer"
    for path in ("//evil.com/x", "/\\evil.com", "///evil.com"):
        place = ask(inner, path=path, query=f"token={TOKEN}", cookie=None)[1]["location"]
        assert place.startswith("/evil.com")
    spelt = ask(inner, path="/d\u00fcrer", query=f"token={TOKEN}", cookie=None)[1]["location"]
    assert spelt == "/d%C3%BCrer"
    assert inner.reached == []


METHODS = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "X-NEW")
ORIGINS = (None, f"http://{HERE}", f"https://{HERE}", f"http://127.0.0.1:{PORT + 1}", f"http://localhost:{PORT}",
           "http://evil.com", "null", [f"http://{HERE}", "http://evil.com"])  # fmt: skip
SITES = (None, "same-origin", "same-site", "cross-site", "none", ["same-origin", "cross-site"])


def test_only_pages_of_its_own_may_change_something() -> None:
    allowed = []
    for method, origin, site in itertools.product(METHODS, ORIGINS, SITES):
        inner = Inner()
        status, _, _ = ask(inner, method, origin=origin, sec_fetch_site=site, content_type="application/json")
        assert bool(inner.reached) is (status == 200)
        if status == 200:
            allowed.append((origin, site))
        else:
            assert status == 403
    # Old browsers send no Sec-Fetch-Site, but all send an origin unless the method is GET.
    assert set(allowed) == {(f"http://{HERE}", None), (f"http://{HERE}", "same-origin")}


def test_only_pages_of_its_own_may_open_a_socket() -> None:
    for origin, site in itertools.product(ORIGINS, SITES):
        inner = Inner()
        code, _, _ = ask(inner, kind="websocket", origin=origin, sec_fetch_site=site)
        fine = origin == f"http://{HERE}" and site in (None, "same-origin")
        assert bool(inner.reached) is fine
        assert code == (0 if fine else 1008)


def test_a_form_of_another_page_is_no_json() -> None:
    inner, mine = Inner(), f"http://{HERE}"
    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp",
                 ["application/json", "text/plain"]):  # fmt: skip
        assert ask(inner, "POST", origin=mine, content_type=kind)[0] == 415
    assert inner.reached == []
    assert ask(inner, "POST", origin=mine, content_type="application/json; charset=utf-8")[0] == 200
    # A header that names another method does not change the rule.
    assert ask(Inner(), "POST", origin="http://evil.com", x_http_method_override="GET")[0] == 403


def test_a_body_has_an_end() -> None:
    post: dict[str, Any] = {"origin": f"http://{HERE}", "content_type": "application/json"}
    for length in (str(LARGEST_BODY + 1), "1000000000", "-1", "x", ["3", "9999999"]):
        inner = Inner()
        assert ask(inner, "POST", content_length=length, **post)[0] == 413
        assert inner.reached == []
    chunk = b"x" * (LARGEST_BODY // 4)
    assert ask(Inner(), "POST", chunks=(chunk,) * 5, **post)[0] == 413
    assert ask(Inner(), "POST", chunks=(chunk,) * 4, **post)[0] == 200
    assert ask(Inner(), query="x" * 20_000)[0] == 414
