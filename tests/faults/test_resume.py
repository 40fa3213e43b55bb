"""C: a run that was killed, stopped or changed resumes exactly, or says that it does not."""

from __future__ import annotations

import copy
import shutil
import signal
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
import torch
from lab import Whole

import genlab
from genlab.errors import DataError, UsageError
from genlab.families.base import Trains
from genlab.recipe import files
from genlab.recipe.schedule import Schedule
from genlab.runs import checkpoint
from genlab.runs.directory import RunDirectory
from genlab.training import fit

FAMILIES = ("gan", "vae", "classifier")


@pytest.mark.parametrize("kind", lab.FAMILIES_FIRST)
def test_killed_and_resumed_over_and_over(kind: str, whole: Whole, tmp_path: Path) -> None:
    """C1, C2, C3: kills in mid-step, between D and G, before and after saves, each in a new process, change no bit."""
    recipe, expected, rows = whole(kind)
    points = (200 if lab.LONG else 4) if kind in FAMILIES else (25 if lab.LONG else 2)
    draws, done, cycle = lab.shuffled(len(kind)), 0, 0
    while done < points:
        name, sizes = f"cut{cycle}", []
        for step in sorted(draws.sample(range(1, len(rows)), min(points - done, len(rows) // 2))):
            kill = partial(draws.choice(lab.KILLS), step)
            ended = lab.call(lab.train, recipe, tmp_path, name, kill, folder=tmp_path / "printed")
            assert ended.code == -signal.SIGKILL, ended.err
            sizes.append(kept(tmp_path / name))
            done += 1
        ended = lab.call(lab.train, recipe, tmp_path, name, folder=tmp_path / "printed")
        assert ended.code == 0, ended.err
        assert lab.digest(tmp_path / name) == expected
        assert lab.rows(tmp_path / name) == rows
        assert max(sizes) <= 1.01 * kept(recipe.parent / kind), "checkpoints grow"
        cycle += 1
    lab.count("resume points", done)
    lab.count(f"resume points, {kind}", done)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "gan" else [pytest.mark.slow]) for kind in FAMILIES]
)
def test_rows_say_the_same_of_steps_that_a_kill_parted(kind: str, digits: Path, tmp_path: Path) -> None:
    """C1, C4: mean and quantiles over the steps since the last row are the same after a kill between two rows."""
    recipe = lab.recipe_file(tmp_path, digits, kind, logging__metrics_every=5, logging__checkpoint_seconds=1e-6)
    assert lab.call(lab.train, recipe, tmp_path, "whole", folder=tmp_path / "printed").code == 0
    rows, steps = lab.rows(tmp_path / "whole"), RunDirectory(tmp_path / "whole").status["step"]
    assert any(f"{column}_p90" in rows[0] for column in ("loss_d", "loss"))
    points, draws, done, cycle = 50 if lab.LONG else 2, lab.shuffled(len(kind)), 0, 0
    while done < points:
        name = f"cut{cycle}"
        for step in sorted(draws.sample(range(1, steps), min(points - done, steps // 2))):
            kill = partial(draws.choice(lab.KILLS), step)
            assert lab.call(lab.train, recipe, tmp_path, name, kill, folder=tmp_path / "printed").code < 0
            done += 1
        assert lab.call(lab.train, recipe, tmp_path, name, folder=tmp_path / "printed").code == 0
        assert lab.rows(tmp_path / name) == rows
        cycle += 1
    lab.count("resume points between rows", done)


def kept(run: Path) -> int:
    """Size of a run's checkpoints in bytes."""
    return sum(file.stat().st_size for file in (run / "checkpoints").glob("step-??????/*"))


@pytest.fixture(scope="module")
def halves(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """halves(kind) -> a run that was killed after step 9; it is made when first requested, and never changed."""
    folder = tmp_path_factory.mktemp("halves")

    @cache
    def made(kind: str) -> Path:
        ended = lab.call(lab.train, whole(kind)[0], folder, kind, partial(lab.kill_after_save, 9), folder=folder)
        assert ended.code == -signal.SIGKILL, ended.err
        return folder / kind

    return made


@pytest.fixture
def half(halves: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """half(kind) -> a copy of that run."""
    return lambda kind: Path(shutil.copytree(halves(kind), tmp_path / kind))


def forget(what: str, fresh: Any, saved: checkpoint.Checkpoint) -> checkpoint.Checkpoint:
    """A checkpoint in which one item has its value from a new model, as if it had never been saved."""
    tensors, state = dict(saved.tensors), copy.deepcopy(saved.state)
    if what == "step":
        return checkpoint.Checkpoint(saved.step - 1, tensors, state)
    if what.startswith("state:"):
        _, name, *rest = what.split(":")
        if not rest:
            state["model"][name] = fresh.training_state()[name]
        for moments in state["model"][name]["state"].values() if rest else ():
            moments[rest[0]] = torch.zeros_like(moments[rest[0]])
        return checkpoint.Checkpoint(saved.step, tensors, state)
    mine = {
        f"{name}.{key}": value.detach().clone()
        for name, network in fresh.networks.items()
        for key, value in network.state_dict().items()
    }
    chosen = [key for key in tensors if what in key]
    assert chosen, f"nothing is called {what}"
    return checkpoint.Checkpoint(saved.step, {**tensors, **{key: mine[key] for key in chosen}}, state)


ITEMS = [
    *(("gan", item) for item in (
        "step", "generator.", "discriminator.", "ema.", "running_mean", "running_var", "num_batches_tracked",
        "state:optimiser_g", "state:optimiser_d", "state:optimiser_g:step", "state:optimiser_g:exp_avg_sq",
        "state:ema_updates",
    )),
    ("constant-gan", "state:optimiser_d:exp_avg"),
    *(("spectral-gan", item) for item in ("weight.0._v", "weight.original")),  # u is computed from v.
    *(("dropout-gan", item) for item in ("state:optimiser_d:square_avg",)),
    *(("vae", item) for item in ("encoder.", "decoder.", "state:optimiser")),
    *(("classifier", item) for item in ("classifier.", "state:optimiser", "state:epoch")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "item"), [pytest.param(*one, marks=[pytest.mark.slow] if k % 4 else []) for k, one in enumerate(ITEMS)]
)
def test_what_is_not_saved_is_missed(
    kind: str, item: str, whole: Whole, half: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C4: if any piece of the saved state is left out, the comparison of C1 notices."""
    _, expected, rows = whole(kind)
    run, restore = half(kind), fit.restore

    def forgetting(model: Trains, saved: checkpoint.Checkpoint, where: RunDirectory) -> None:
        restore(model, forget(item, model, saved), where)

    if item == "step":
        load = checkpoint.load
        monkeypatch.setattr(checkpoint, "load", lambda path: forget(item, None, load(path)))
    else:
        monkeypatch.setattr(fit, "restore", forgetting)
    genlab.train(resume=run, report=False)
    monkeypatch.undo()
    noticed = lab.digest(run) != expected or lab.rows(run) != rows
    assert noticed, f"{item} is saved, or the test does not see it"
    lab.count("pieces of state left out and missed")


def test_nothing_left_out_is_exact_here_too(whole: Whole, half: Callable[[str], Path]) -> None:
    """Control for the test above: the same procedure without forgetting gives the same bits."""
    for kind in FAMILIES:
        run = half(kind)
        genlab.train(resume=run, report=False)
        assert lab.digest(run) == whole(kind)[1]


def test_every_image_once_an_epoch_over_resumes(
    half: Callable[[str], Path], whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C5: after a resume, the rest of an epoch has only images that its beginning did not have."""
    orders: list[list[int]] = []
    batches = fit.batches

    def noted(schedule: Schedule, keyed: Any, after: int) -> Any:
        for step, indices in batches(schedule, keyed, after):
            orders.append(indices.tolist())
            yield step, indices

    monkeypatch.setattr(fit, "batches", noted)
    run = half("vae")  # The first nine steps ran in another process.
    genlab.train(resume=run, report=False)
    recipe = RunDirectory(run).recipe
    plan = Schedule.of(recipe, 100)
    from genlab.engine.randomness import Keyed

    first = [indices.tolist() for step, indices in batches(plan, Keyed(0), 0) if step <= 9]
    epochs = [*first, *orders]
    per_epoch = plan.steps_per_epoch
    for epoch in range(recipe.budget.epochs):
        seen = [k for batch in epochs[epoch * per_epoch : (epoch + 1) * per_epoch] for k in batch]
        assert len(seen) == len(set(seen)), "an image twice in an epoch"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"versions": {"torch": "2.10.0"}}, "torch 2.10.0 -> "),
        ({"machine": {"processor": "abacus"}}, "processor abacus -> "),
        ({"machine": {"capability": "AVX9"}}, "capability AVX9 -> "),
        ({"machine": {"onednn_bfloat16": "perhaps"}}, "onednn_bfloat16 perhaps -> "),
        ({"machine": {"limits": "ONEDNN_MAX_CPU_ISA=SSE41"}}, "limits ONEDNN_MAX_CPU_ISA=SSE41 -> none"),
        ({"machine": {"threads": 3}}, "threads 3 -> 1"),
    ],
)
def test_elsewhere_it_goes_on_and_says_that_it_is_not_exact(
    changed: dict[str, dict[str, Any]], words: str, half: Callable[[str], Path]
) -> None:
    """C6: with other versions or hardware, a run resumes and says that it is not exact."""
    run = RunDirectory(half("gan"))
    provenance: Any = run.provenance
    for section, values in changed.items():
        provenance[section] |= values
    run.set_provenance(provenance)
    with pytest.warns(UserWarning, match=f"not bit for bit.*{words}"):
        resumed = genlab.train(resume=run.path, report=False)
    (entry,) = resumed.provenance["resumed"]
    assert entry["exact"] is False
    assert words in entry["differences"][0]
    assert resumed.status["state"] == "finished"


def test_other_threads_by_wish(half: Callable[[str], Path]) -> None:
    """C6: the engine may be changed explicitly, and the change is recorded."""
    run = half("gan")
    with pytest.warns(UserWarning, match="not bit for bit.*threads 1 -> 2"):
        resumed = genlab.train(resume=run, overrides={"engine.plan": "auto", "engine.threads": 2}, report=False)
    assert resumed.recipe.engine.threads == 2
    (entry,) = resumed.provenance["resumed"]
    assert entry["changes"]["engine.threads"] == [1, 2]
    assert entry["exact"] is False


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("lr: 0.003", "lr: 0.03", "optimisers.generator.lr: 0.003 -> 0.03"),
        ("batch: 16", "batch: 32", "budget.batch: 16 -> 32"),
        ("ngf: 4", "ngf: 8", "networks.generator.ngf: 4 -> 8"),
        ("sigma: 0.05", "sigma: 0.1", "objective.sigma: 0.05 -> 0.1"),
    ],
)
def test_a_changed_recipe_is_refused(before: str, after: str, words: str, half: Callable[[str], Path]) -> None:
    """C7: a change in the recipe file is refused, with the old and new value."""
    run = half("gan")
    file = run / "recipe.yaml"
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(UsageError, match="was changed after the run began") as caught:
        genlab.train(resume=run, report=False)
    assert words in str(caught.value)


def test_a_change_on_the_command_line_is_refused(half: Callable[[str], Path]) -> None:
    """C7: on the command line, only epochs and engine can be changed."""
    run = half("gan")
    with pytest.raises(UsageError, match=r"budget\.batch cannot be changed \(--epochs and --engine\.FIELD can\)"):
        genlab.train(resume=run, overrides={"budget.batch": 8}, report=False)
    with pytest.raises(UsageError, match="keeps its recipe, seed, name and minutes"):
        genlab.train(resume=run, seed=1, report=False)


@pytest.mark.parametrize("change", ["a pixel", "an image more", "the order", "a label"])
def test_other_data_is_refused(change: str, digits: Path, tmp_path: Path) -> None:
    """C8: a run is not resumed with other data."""
    own = tmp_path / "digits.npz"
    shutil.copy(digits, own)
    recipe = lab.recipe_file(tmp_path, own, "gan", budget__max_steps=2)
    run = genlab.train(str(recipe), runs=tmp_path, report=False)
    with np.load(own) as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    if change == "a pixel":
        x[3, 14, 14] ^= 1
    elif change == "an image more":
        x, y = np.concatenate([x, x[:1]]), np.concatenate([y, y[:1]])
    elif change == "the order":
        x, y = x[::-1].copy(), y[::-1].copy()
    else:
        y[0] = (y[0] + 1) % 10
    np.savez(own, x_train=x, y_train=y)
    with pytest.raises(DataError, match=r"is not the one that run .* began with: sha256 \w{12} -> \w{12}"):
        genlab.train(resume=run.path, report=False)


def test_finished_and_longer(digits: Path, tmp_path: Path) -> None:
    """C9: at constant learning rates, added epochs end as if they had been there from the start."""
    short = lab.recipe_file(tmp_path, digits, "constant-gan", budget__epochs=2)
    run = genlab.train(str(short), runs=tmp_path, name="grown", report=False)
    before = lab.digest(run.directory)
    with pytest.warns(UserWarning, match="already finished; nothing was trained"):
        genlab.train(resume=run.path, report=False)
    assert lab.digest(run.directory) == before
    grown = genlab.train(resume=run.path, epochs=4, report=False)
    long = genlab.train(str(short), epochs=4, runs=tmp_path, name="long", report=False)
    assert lab.digest(grown.directory) == lab.digest(long.directory)
    assert lab.rows(grown.directory) == lab.rows(long.directory)
    assert grown.recipe.budget.epochs == 4
    assert grown.provenance["resumed"][-1]["changes"] == {"budget.epochs": [2, 4]}
    assert grown.status["total_steps"] == long.status["total_steps"]


@pytest.mark.slow
def test_what_tells_of_an_earlier_end_is_made_anew(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a run is made longer but killed before evaluation and report, both are made anew for the new model."""
    short = lab.recipe_file(tmp_path, digits, "constant-gan", budget__epochs=1, logging__evaluation="full")
    run = genlab.train(str(short), runs=tmp_path)
    old = run.evaluation

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genlab.api.train.finish", killed)
    with pytest.raises(KeyboardInterrupt):
        genlab.train(resume=run.path, epochs=2)
    monkeypatch.undo()
    assert run.evaluation == old
    with pytest.warns(UserWarning, match="already finished; nothing was trained"):
        genlab.train(resume=run.path)
    assert run.evaluation is not None
    assert run.evaluation["protocol"]["step"] == run.status["step"] == 14
    assert (run.path / "report.html").exists()
    written = (run.path / "report.html").stat().st_mtime_ns
    with pytest.warns(UserWarning, match="already finished; nothing was trained"):
        genlab.train(resume=run.path)
    assert (run.path / "report.html").stat().st_mtime_ns == written, "what is there is not made twice"


def test_longer_where_the_schedule_falls_is_refused(whole: Whole, half: Callable[[str], Path]) -> None:
    """C9: if the learning rate falls over the training, it cannot be made longer; the message states the rule."""
    run = half("gan")
    with pytest.raises(UsageError, match=r"optimisers\.generator\.schedule is linear: a training of 9 epochs would"):
        genlab.train(resume=run, epochs=9, report=False)
    with pytest.raises(UsageError, match="can only make it longer"):
        genlab.train(resume=run, epochs=1, report=False)
    genlab.train(resume=run, epochs=4, report=False)
    assert lab.digest(run) == whole("gan")[1]


def test_killed_while_it_is_made_longer(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the new recipe but the old provenance, the same command goes on, and another says what is wrong."""
    short = lab.recipe_file(tmp_path, digits, "constant-gan", budget__epochs=2)
    run = genlab.train(str(short), runs=tmp_path, name="grown", report=False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunDirectory, "set_provenance", killed)
    with pytest.raises(KeyboardInterrupt):
        genlab.train(resume=run.path, epochs=3, report=False)
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"budget\.epochs: 2 -> 3; restore it"):
        genlab.train(resume=run.path, report=False)
    grown = genlab.train(resume=run.path, epochs=3, report=False)
    assert grown.status["step"] == 3 * 7


@pytest.mark.parametrize(
    "changes",
    [
        {"logging__metrics_every": 100},
        {"logging__sample_every": 1},
        {"logging__sample_epochs": []},
        {"logging__evaluation": "cheap"},
        {"logging__tensorboard": True},
        {"logging__checkpoint_seconds": 1000.0},
    ],
)
def test_logging_changes_no_weight(changes: dict[str, Any], whole: Whole, digits: Path, tmp_path: Path) -> None:
    """C10: logging settings change no weight."""
    recipe = lab.recipe_file(tmp_path, digits, "gan", **changes)
    run = genlab.train(str(recipe), runs=tmp_path, report=False)
    assert lab.digest(run.directory) == whole("gan")[1]


def test_rows_behind_the_checkpoint_are_cut(whole: Whole, half: Callable[[str], Path]) -> None:
    """C12: rows after the last checkpoint are set aside; no step appears twice."""
    run = RunDirectory(half("gan"))
    with run.appending(after=9) as log:
        for step in (10, 11):
            log.append({"step": step, "epoch": 0.0, "images": 0, "seconds": 0.0, "loss_d": 123.0})
    genlab.train(resume=run.path, report=False)
    assert lab.rows(run) == whole("gan")[2]
    assert (run.path / "metrics.torn").read_bytes().count(b"123.0") == 2


def test_lost_rows_are_said(half: Callable[[str], Path]) -> None:
    run = RunDirectory(half("gan"))
    file = run.path / "metrics.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:5]))
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: 4 rows are missing, the first at step 6"):
        genlab.train(resume=run.path, report=False)


def test_a_resumed_run_says_so_in_its_report(half: Callable[[str], Path]) -> None:
    run = genlab.train(resume=half("gan"))
    page = (run.path / "report.html").read_text("utf-8")
    assert "at step 9" in page
    assert files.dump(run.recipe)[:6] == "schema"
