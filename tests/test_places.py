"""A container or a batch job: no home directory, no user name, or a home that is not writable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from genlab.engine import places
from genlab.recipe import GanRecipe, files

WHO = os.getuid() if hasattr(os, "getuid") else "user"
NOBODY = """
import os, pwd, sys
def gone(*_): raise KeyError("getpwuid(): uid not found: 12345")
pwd.getpwuid = pwd.getpwnam = gone
from genlab.cli import main as cli
for line in sys.argv[1:]:
    try: cli.main(line.split())
    except SystemExit as stop: sys.exit(f"{line}: {stop.code}")
import getpass
try: print("named", getpass.getuser())
except (KeyError, OSError): print("nobody")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no uids")
@pytest.mark.parametrize("home", [None, pytest.param("/dev/null/home", marks=pytest.mark.slow)])
def test_a_user_without_a_name_and_a_home(home: str | None, small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    """Everything works without warnings, and caches are in a private folder of the temporary directory."""
    (tmp_path / "r.yaml").write_text(files.dump(small({"logging.tensorboard": True})), "utf-8")
    names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "USER", "LOGNAME", "USERNAME", "LNAME")
    environment = {k: v for k, v in os.environ.items() if k not in names} | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    commands = ["train r.yaml --budget.max-steps 2 --name a", "runs", "report a", "grid a -o g.png", "doctor --json"]
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, *(commands if home is None else commands[-1:])],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment | ({} if home is None else {"HOME": home}),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "nobody"
    said = [line for line in done.stderr.splitlines() if not line.startswith(("run ", "step "))]
    assert said == []
    facts = json.loads(done.stdout.splitlines()[-2])
    assert facts["caches"]["writable"] is True
    private = Path(facts["caches"]["folder"])
    assert private == tmp_path / "tmp" / f"genlab-{WHO}"
    assert private.stat().st_mode & 0o77 == 0
    assert (private / "matplotlib").is_dir()
    assert facts["problems"] == []


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Path of the test's own temporary directory; there is no home."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(places, "_below_home", lambda name: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    places._of_this_process.cache_clear()
    return tmp_path


def test_the_cache_is_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert places.cache_folder() == tmp_path / ".cache" / "genlab"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "else"))
    assert places.cache_folder() == tmp_path / "else" / "genlab"
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"
    assert places.short(f"at {tmp_path}/a, {tmp_path}b") == f"at ~/a, {tmp_path}b"


def test_a_cache_that_is_a_file_is_not_taken(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (homeless / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(homeless / "file"))
    assert places.cache_folder() == homeless / f"genlab-{WHO}"


@pytest.mark.skipif(sys.platform == "win32", reason="there the temporary directory is the user's own")
@pytest.mark.parametrize("taken", ["link", "file", "open to all"])
def test_a_private_folder_that_somebody_else_has_made_is_not_taken(taken: str, homeless: Path) -> None:
    """Everybody may write into the temporary directory: a folder there with our name may be a trap."""
    place = homeless / f"genlab-{WHO}"
    if taken == "link":
        (homeless / "theirs").mkdir(mode=0o700)
        place.symlink_to(homeless / "theirs")
    elif taken == "file":
        place.write_text("")
    else:
        place.mkdir()
        place.chmod(0o777)
    found = places.cache_folder()
    assert found != place
    assert found.stat().st_mode & 0o77 == 0
    assert places.cache_folder() == found, "the same for this process"


def test_libraries_are_told_only_where_they_would_complain(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    places.prepare()
    assert os.environ == {
        "MPLCONFIGDIR": str(homeless / f"genlab-{WHO}" / "matplotlib"),
        "TORCHINDUCTOR_CACHE_DIR": str(homeless / f"genlab-{WHO}" / "torchinductor"),
    }
    for system in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(os, "environ", {})
        monkeypatch.setattr(places, "_below_home", lambda name: homeless / name)
        places.prepare()
        assert os.environ == {}


def test_nothing_can_be_written_at_all(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no folder is writable, `import genlab` still works."""

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    monkeypatch.setattr(os, "environ", {})
    places.prepare()
    assert os.environ == {}
