"""What a studio refuses: names that lead out of its folder, strange bodies, connections that ask for nothing."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from served import Served, state_of


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
            assert line.recv(4096)[9:12] == b"422"  # An answer; then it is closed, since nothing more is asked.
            while line.recv(4096):
                pass
    finally:
        studio.close()
