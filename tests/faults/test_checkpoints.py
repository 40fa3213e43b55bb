"""B: changes in a checkpoint are detected and named; malicious files are refused; intact checkpoints are used."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
import torch
from attacks import ATTACKS
from lab import Whole

import genlab
from genlab.errors import CheckpointError, DataError, GenlabError, StorageError
from genlab.runs import checkpoint
from genlab.runs import tensors as sealed
from genlab.runs.checkpoint import MANIFEST, MODEL, STATE
from genlab.runs.directory import RunDirectory

FILES = (MODEL, STATE, MANIFEST)


@pytest.fixture(scope="module")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after step 9; its checkpoints are of steps 8 and 9."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = lab.recipe_file(folder, digits, "gan", logging__checkpoint_seconds=1e-6, logging__sample_every=4)
    lab.call(lab.train, recipe, folder, "run", partial(lab.kill_after_save, 9), folder=folder / "p")
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunDirectory:
    shutil.copytree(trained, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def newest(run: RunDirectory) -> Path:
    return checkpoint.found(run.checkpoints)[-1]


def resumes_loudly(run: RunDirectory, expected: str, words: str) -> None:
    """P5: the previous checkpoint is used and named, exit code 0; with --strict, exit code 4."""
    strict = lab.command("train", "--resume", run.path, "--strict", folder=run.path.parent / "p")
    assert strict.code == 4
    assert words in strict.err
    assert "without --strict the run resumes at step 8" in strict.err
    ended = lab.command("train", "--resume", run.path, folder=run.path.parent / "p", hook=lab.without_report)
    assert ended.code == 0, ended.err
    assert words in ended.err
    assert "using step-000008" in ended.err
    assert lab.digest(run) == expected


@pytest.mark.parametrize("name", FILES)
def test_truncated(name: str, run: RunDirectory, newest: Path, whole: Whole) -> None:
    """B1: a file that is truncated at any multiple of 64 bytes is detected."""
    file = newest / name
    content = file.read_bytes()
    step = 64 if lab.LONG else max(64, len(content) // 20)
    for size in sorted(
        {0, 1, 100, len(content) // 2, len(content) - 1, *range(0, len(content), step)} - {len(content)}
    ):
        if size > len(content):
            continue
        file.write_bytes(content[:size])
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load(newest)
        assert str(file) in str(caught.value)
        if name != MANIFEST:
            assert f"truncated: {size:,} of {len(content):,} bytes" in str(caught.value)
        lab.count("truncations tried")
        lab.count("truncations noticed")
    resumes_loudly(run, whole("gan")[1], name)


def flips(content: bytes, n: int, seed: int) -> Iterator[bytes]:
    draws = lab.shuffled(seed)
    for place in draws.sample(range(8 * len(content)), min(n, 8 * len(content))):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        yield bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits(name: str, run: RunDirectory, newest: Path, whole: Whole) -> None:
    """B2: a single flipped bit in any file of a checkpoint is detected."""
    file = newest / name
    content = file.read_bytes()
    for changed in flips(content, 700 if lab.LONG else 40, 0):
        lab.count("bit flips tried")
        file.write_bytes(changed)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load(newest)
        assert str(newest) in str(caught.value)
        assert name in str(caught.value) or name == MANIFEST
        lab.count("bit flips noticed")
    resumes_loudly(run, whole("gan")[1], "step-000009")


def test_flipped_bits_elsewhere(run: RunDirectory) -> None:
    """Snapshots, rows and provenance carry hashes, too; `genlab runs verify` checks them all."""
    from genlab.runs.verify import verify

    assert verify(run).damages == []
    snapshot = run.file("snapshots", 8, ".safetensors")
    for file in (snapshot, run.path / "provenance.json", run.path / "metrics.jsonl"):
        content = file.read_bytes()
        for changed in flips(content, 200 if lab.LONG else 20, 1):
            if _same_json(file, content, changed):
                continue
            lab.count("bit flips tried")
            file.write_bytes(changed)
            damages = verify(run).damages
            assert damages, f"{file.name} was changed, and nobody noticed"
            assert any(str(file) in line for line in damages)
            lab.count("bit flips noticed")
        file.write_bytes(content)
    assert verify(run).damages == []


def _same_json(file: Path, before: bytes, after: bytes) -> bool:
    """Whether only the whitespace between values was changed, and no value."""
    if file.suffix != ".json":
        return False
    try:
        return bool(json.loads(after) == json.loads(before))
    except ValueError:
        return False


def test_verify_at_the_command_line(run: RunDirectory, newest: Path) -> None:
    whole = lab.command("runs", "verify", run.path, folder=run.path.parent / "p")
    assert whole.code == 0
    assert re.fullmatch(r"run: intact, \d+ files\n", whole.out)
    (newest / MODEL).write_bytes(b"")
    ended = lab.command("runs", "verify", "--runs", run.path.parent, folder=run.path.parent / "p")
    assert ended.code == 4
    assert f"{newest / MODEL}: truncated: 0 of" in ended.out
    assert ended.err == "genlab: damaged: run\n"


def rewritten(newest: Path, **changes: Any) -> None:
    """Rewrite the manifest with other values."""
    manifest = json.loads((newest / MANIFEST).read_text())
    (newest / MANIFEST).write_text(json.dumps({**manifest, **changes}, indent=2))


MANIFESTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda at: (at / MANIFEST).unlink(), "No such file"),
    "a file more": (lambda at: (at / "extra.bin").write_bytes(b""), "extra.bin: not part of a checkpoint"),
    "wrong hash": (
        lambda at: rewritten(at, files={MODEL: {"bytes": 3, "sha256": "0" * 64}}),
        "sha256 differs from the manifest's",
    ),
    "wrong step": (lambda at: rewritten(at, step=8), "damaged, or from another checkpoint"),
    "keys twice": (
        lambda at: (at / MANIFEST).write_text((at / MANIFEST).read_text().replace('"step": 9', '"step": 9, "step": 9')),
        "damaged, or from another checkpoint",
    ),
    "newer": (lambda at: rewritten(at, schema=3), "format 3, of a newer genlab; this one reads format 2"),
    "older": (lambda at: rewritten(at, schema=1), "format 1, of an older genlab; this one reads format 2"),
    "model missing": (lambda at: (at / MODEL).unlink(), f"{MODEL}: No such file"),
    "state missing": (lambda at: (at / STATE).unlink(), f"{STATE}: No such file"),
    "of another step": (lambda at: shutil.copytree(at.parent / "step-000008", at, dirs_exist_ok=True), "from another"),
}


def test_a_kill_while_a_checkpoint_is_replaced_loses_nothing(run: RunDirectory, newest: Path) -> None:
    """The old one is set aside before the new one takes its place; one that was being removed stays away."""
    aside = newest.with_name(f"{newest.name}.tmp-3999999-old")
    newest.rename(aside)
    with run.locked():
        assert checkpoint.newest(run.checkpoints)[0].step == int(newest.name[5:])
        newest.rename(aside)
    (aside / MODEL).unlink()
    with run.locked():
        assert newest not in checkpoint.found(run.checkpoints)
        assert not aside.exists()


def test_a_checkpoint_that_cannot_be_replaced_stays(
    run: RunDirectory, newest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, rename = checkpoint.load(newest), Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.startswith(newest.name) and target == newest and not path.name.endswith("-old"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(StorageError, match="No space left"):
        checkpoint.save(run.checkpoints, saved)
    assert checkpoint.newest(run.checkpoints)[0].step == saved.step


@pytest.mark.parametrize("case", MANIFESTS)
def test_bad_manifests(case: str, run: RunDirectory, newest: Path, whole: Whole) -> None:
    """B3, B4, B11: each fault is reported, and the previous checkpoint is used."""
    act, words = MANIFESTS[case]
    act(newest)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(newest)
    assert words in str(caught.value)
    with pytest.warns(UserWarning, match="using step-000008"):
        genlab.train(resume=run.path, report=False)
    assert lab.digest(run) == whole("gan")[1]
    lab.count("files refused")


def planted(at: Path, name: str, content: bytes) -> None:
    """Put a file into a checkpoint, with a manifest that vouches for it."""
    (at / name).write_bytes(content)
    manifest = json.loads((at / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (at / MANIFEST).write_text(json.dumps(manifest, indent=2))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", [MODEL, STATE])
def test_files_that_mean_harm(attack: str, name: str, newest: Path, tmp_path: Path) -> None:
    """B5, B6, B7, B8: malicious files are refused at once even if the manifest vouches for them; no code runs, and no
    message advises running it."""
    canary = tmp_path / "canary"
    planted(newest, name, ATTACKS[attack](canary))
    before, start = _memory(), time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(newest)
    assert time.monotonic() - start < 2
    assert _memory() - before < 300e6
    assert str(newest / name) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    if "pickle" in attack or "torch" in attack:
        assert "refused: a pickle, which could run code" in str(caught.value)
    assert not canary.exists()
    lab.count("files refused")


def _memory() -> float:
    """Peak memory of this process so far, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


@pytest.mark.parametrize("attack", ATTACKS)
def test_harm_in_every_other_place(attack: str, run: RunDirectory, tmp_path: Path) -> None:
    """B5, B6: a malicious snapshot, judge, dataset, array, picture, recipe, row, provenance or status is refused."""
    from genlab.data import load as load_data
    from genlab.evaluation import judge
    from genlab.recipe import files

    canary = tmp_path / "canary"
    content = ATTACKS[attack](canary)
    evil = tmp_path / "evil"
    evil.write_bytes(content)
    (tmp_path / "pictures").mkdir()
    for name in ("evil.npz", "evil.yaml", "evil.safetensors", "pictures/evil.png"):
        shutil.copy(evil, tmp_path / name)
    for name in ("metrics.jsonl", "provenance.json", "status.json", "recipe.yaml"):
        (run.path / name).write_bytes(content)
    opened = RunDirectory(run.path)
    places: dict[str, Callable[[], object]] = {
        "snapshot": lambda: sealed.unpack(content, evil),
        "judge": lambda: judge.read(tmp_path / "evil.safetensors", "evil"),
        "dataset": lambda: load_data(str(tmp_path / "evil.npz")),
        "images": lambda: genlab.evaluate(tmp_path / "evil.npz", against="mnist"),
        "pictures": lambda: genlab.evaluate(tmp_path / "pictures", against="mnist"),
        "recipe": lambda: files.load(str(tmp_path / "evil.yaml")),
        "provenance": lambda: opened.provenance,
        "status": lambda: opened.status,
        "the run's recipe": lambda: opened.recipe,
    }
    for place, read in places.items():
        with pytest.raises(GenlabError) as caught:
            read()
        assert "weights_only" not in str(caught.value), place
        lab.count("files refused")
    if len(content.splitlines()) > 1:
        with pytest.raises(DataError, match="damaged"):
            run.metrics()
    assert not canary.exists()


def resealed(at: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Replace a checkpoint's tensors, with a manifest that matches them."""
    tensors, _ = sealed.unpack((at / MODEL).read_bytes(), at)
    planted(at, MODEL, sealed.pack(change(tensors)))


def _without(word: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {key: value for key, value in tensors.items() if not key.startswith(word)}


OTHER: dict[str, tuple[Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], str]] = {
    "one missing": (lambda t: dict(list(t.items())[1:]), "none saved"),
    "one more": (lambda t: {**t, "generator.more": torch.zeros(2)}, "none here, (2,) float32 saved"),
    "other shape": (lambda t: {**t, next(iter(t)): torch.zeros(1, 2, 3)}, "(1, 2, 3) float32 saved"),
    "other type": (lambda t: {k: v.double() if v.is_floating_point() else v for k, v in t.items()}, "float64 saved"),
    "complex": (lambda t: {k: v.to(torch.complex64) for k, v in t.items()}, "complex64 saved"),
    "half precision": (lambda t: {k: v.half() for k, v in t.items()}, "float16 saved"),
    "EMA only": (lambda t: {k: v for k, v in t.items() if k.startswith("ema.")}, "belongs to another model"),
    "no discriminator": (_without("discriminator."), "belongs to another model"),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_weights(case: str, run: RunDirectory, newest: Path) -> None:
    """B9, B12: an intact checkpoint of another model is never loaded in part; the first five differences are shown."""
    change, words = OTHER[case]
    resealed(newest, change)
    with pytest.raises(CheckpointError, match=r"belongs to another model \(\d+ differences\)") as caught:
        genlab.train(resume=run.path, report=False)
    assert words in str(caught.value)
    assert 2 <= len(str(caught.value).splitlines()) <= 6
    lab.count("files refused")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite(value: float, run: RunDirectory, newest: Path, whole: Whole) -> None:
    """B10: weights that are not finite are never used, neither to resume nor to sample."""
    resealed(newest, lambda t: {k: v * value if v.is_floating_point() else v for k, v in t.items()})
    with pytest.raises(CheckpointError, match="is not finite; this checkpoint is never used"):
        checkpoint.load(newest)
    with pytest.warns(UserWarning, match=r"is not finite.*using step-000008"):
        genlab.train(resume=run.path, report=False)
    assert lab.digest(run) == whole("gan")[1]


def test_a_state_of_another_optimiser(run: RunDirectory, newest: Path) -> None:
    """B9: an optimiser state with moments of other shapes, or without moments, is refused."""
    parts, values = sealed.unpack((newest / STATE).read_bytes(), newest)
    wrong = {key: torch.zeros(3, 3) if value.ndim else value for key, value in parts.items()}
    planted(newest, STATE, sealed.pack(wrong, values))
    with pytest.raises(CheckpointError, match="training state belongs to another model"):
        genlab.train(resume=run.path, report=False)
    planted(newest, STATE, sealed.pack({}, {"dict": [["seconds", 1.0], ["model", {"dict": []}]]}))
    with pytest.raises(CheckpointError, match="training state belongs to another model"):
        genlab.train(resume=run.path, report=False)


def test_none_is_usable(run: RunDirectory) -> None:
    """P5: if no checkpoint is usable, each is named, and the exit code is 4."""
    for path in checkpoint.found(run.checkpoints):
        (path / MODEL).write_bytes(b"")
    ended = lab.command("train", "--resume", run.path, folder=run.path.parent / "p")
    assert ended.code == 4
    assert "no usable checkpoint" in ended.err
    assert ended.err.count("truncated: 0 of") == 2
