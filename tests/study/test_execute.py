"""The driver: order, attempts, blocks, a full disk and a stop, on a backend that only writes records."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genlab.errors import RunsFailed, Stopped, StorageError, StudyError, UsageError
from genlab.study.execute import ATTEMPTS, State, execute
from genlab.study.folder import Folder
from genlab.study.outcome import outcome
from genlab.study.plan import Cell, Plan
from genlab.study.processes import Event
from genlab.study.status import summary, worth_showing
from plans import leave, planned, raw, record_for

Act = Callable[[Cell], list[Event]]


class Pretended:
    """A backend whose runs do what a function says; by default a run leaves its record and ends well."""

    def __init__(
        self, plan: Plan, folder: Folder, workers: int = 1, act: Act | None = None, machine: str = "M"
    ) -> None:
        self.plan, self.folder, self.workers, self.act, self.machine = (
            plan,
            folder,
            workers,
            act or self.finish,
            machine,
        )
        self.begun: list[Cell] = []
        self._heard: list[Event] = []
        self._running: list[Cell] = []
        self.stopped = False

    @property
    def running(self) -> list[Cell]:
        return list(self._running)

    def has_room(self, cell: Cell) -> bool:
        return len(self._running) < self.workers

    def pins(self, cell: Cell, recipes: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], str]:
        return {each["arm"]: {"precision": "float32"} for each in recipes}, self.machine

    def start(self, cell: Cell, task: dict[str, Any]) -> None:
        self.begun.append(cell)
        self._running.append(cell)

    def hear(self, seconds: float) -> list[Event]:
        found = self.act(self._running[-1]) if self._running else []  # The last begun ends first.
        for event in found:
            if event.kind in ("end", "lost", "gone") and event.cell in self._running:
                self._running.remove(event.cell)
        return found

    def finish(self, cell: Cell) -> list[Event]:
        leave(self.folder, self.plan, cell, value=cell.seed + 0.5 * (cell.arm == "slow"))
        return [Event(cell, "end", {"state": "finished"})]

    def stop(self) -> None:
        self.stopped = True
        self._running.clear()


def fail(reason: str, **facts: Any) -> Act:
    return lambda cell: [Event(cell, "end", {"state": "failed", "reason": reason, **facts})]


def carried_out(tmp_path: Path, act: Act | None = None, **options: Any) -> tuple[State, Pretended, Folder]:
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder, options.pop("workers", 1), act, options.pop("machine", "M"))
    return execute(plan, folder, tmp_path / "runs", place, **options), place, folder


def test_all_arms_of_a_seed_come_before_the_next_seed(tmp_path: Path) -> None:
    state, place, _ = carried_out(tmp_path)
    assert place.begun == planned().cells
    assert len(state.done) == 8
    assert place.stopped


def test_the_table_is_the_same_whatever_the_order_of_finishing(tmp_path: Path) -> None:
    """F8: one worker and four that finish in reverse order give the same table."""
    found = []
    for workers in (1, 4):
        _, _, folder = carried_out(tmp_path / str(workers), workers=workers)
        found.append((outcome(planned(), folder).digest, outcome(planned(), folder).csv))
    assert found[0] == found[1]


def test_what_is_done_is_not_made_again(tmp_path: Path) -> None:
    """F2: existing records decide what is left; a half-done study continues with the other half."""
    folder, plan = Folder(tmp_path / "results"), planned()
    for cell in plan.cells[:3]:
        leave(folder, plan, cell)
    _, place, _ = carried_out(tmp_path)
    assert place.begun == plan.cells[3:]
    assert carried_out(tmp_path)[1].begun == []


def test_one_seed_alone_with_all_its_arms(tmp_path: Path) -> None:
    _, place, _ = carried_out(tmp_path, seed=2)
    assert place.begun == [Cell("slow", 2), Cell("fast", 2)]
    with pytest.raises(UsageError, match="seed 9 is not in the plan; its seeds: 0, 1, 2, 3"):
        carried_out(tmp_path, seed=9)


def test_a_run_whose_process_dies_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    """F1: a run that dies each time is begun ATTEMPTS times, and the others are made."""
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder)
    bad = Cell("fast", 1)
    place.act = lambda c: [Event(c, "lost", {"reason": "killed (signal 9)"})] if c == bad else place.finish(c)
    state = execute(plan, folder, tmp_path / "runs", place)
    assert place.begun.count(bad) == ATTEMPTS
    assert state.failed == {bad: "killed (signal 9)"}
    assert len(state.done) == 7
    assert folder.failures() == {("fast", 1): "killed (signal 9)"}


def test_a_run_that_dies_once_leaves_no_trace_in_the_table(tmp_path: Path) -> None:
    plan, folder = planned(), Folder(tmp_path / "b")
    place, died = Pretended(plan, folder), set[Cell]()

    def once(cell: Cell) -> list[Event]:
        if cell in died:
            return place.finish(cell)
        died.add(cell)
        return [Event(cell, "lost", {"reason": "killed (signal 9)"})]

    place.act = once
    execute(plan, folder, tmp_path / "runs", place)
    assert outcome(plan, folder).digest == outcome(plan, carried_out(tmp_path / "a")[2]).digest
    assert len(place.begun) == 16


@pytest.mark.parametrize(("code", "times"), [(2, 1), (3, 1), (6, 1), (1, ATTEMPTS), (4, ATTEMPTS), (5, ATTEMPTS)])
def test_what_another_attempt_would_end_with_as_well_is_not_tried_again(tmp_path: Path, code: int, times: int) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    place, bad = Pretended(plan, folder), Cell("slow", 2)
    failing = fail("so it is", code=code)
    place.act = lambda cell: failing(cell) if cell == bad else place.finish(cell)
    assert execute(plan, folder, tmp_path / "runs", place).failed == {bad: "so it is"}
    assert place.begun.count(bad) == times


def test_runs_that_hang_are_not_tried_again(tmp_path: Path) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    place, bad = Pretended(plan, folder), Cell("slow", 2)
    place.act = lambda c: [Event(c, "lost", {"reason": "no sign", "hung": True})] if c == bad else place.finish(c)
    execute(plan, folder, tmp_path / "runs", place)
    assert place.begun.count(bad) == 1


@pytest.mark.parametrize(
    "words",
    [
        lambda cell: f"{cell.name}: no such dataset",
        lambda cell: f"arm {cell.arm}: no such dataset",
        lambda cell: f"own.py:7: in {cell.arm}, seed {cell.seed}, a slow or fast one: no such dataset",
    ],
)
def test_a_study_all_of_whose_runs_fail_alike_is_given_up_early(words: Callable[[Cell], str], tmp_path: Path) -> None:
    """F4: one message, after three of eight; reasons that differ only in the name of the run, the arm or the seed
    count as the same."""
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder)
    place.act = lambda cell: fail(words(cell), code=3)(cell)
    with pytest.raises(RunsFailed, match=r"the first 3 runs all failed in the same way: .*no such dataset") as caught:
        execute(plan, folder, tmp_path / "runs", place)
    assert len(place.begun) == 3
    assert caught.value.exit_code == 8


def test_runs_that_fail_for_several_reasons_do_not_end_the_study(tmp_path: Path) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder)
    place.act = lambda cell: fail(f"{'ab'[cell.arm == 'fast']} is wrong", code=3)(cell)
    assert len(execute(plan, folder, tmp_path / "runs", place).failed) == 8


def test_a_full_disk_pauses_the_study_as_one(tmp_path: Path) -> None:
    """F7, A6: exit code 5, no run counts as failed, and with free space the study continues where it was."""
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder)
    full = fail("x: No space left on device", code=5, full=True)
    place.act = lambda cell: full(cell) if cell.seed == 1 else place.finish(cell)
    with pytest.raises(StorageError, match="paused with 2 of 8 runs done: free some disk space and run it") as caught:
        execute(plan, folder, tmp_path / "runs", place)
    assert caught.value.exit_code == 5
    assert folder.failures() == {}
    assert place.stopped
    assert len(carried_out(tmp_path)[0].done) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_in_order_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    place = Pretended(plan, folder)

    def act(cell: Cell) -> list[Event]:
        if cell.seed == 1:
            signal.raise_signal(number)
            return []
        return place.finish(cell)

    place.act = act
    with pytest.raises(Stopped, match="stopped with 2 of 8 runs done; the same command continues") as caught:
        execute(plan, folder, tmp_path / "runs", place)
    assert caught.value.exit_code == 128 + number
    assert place.stopped
    assert carried_out(tmp_path)[1].begun == plan.cells[2:]


def test_a_block_begun_on_another_machine_is_begun_anew(tmp_path: Path) -> None:
    """All arms of a seed run on one machine: another machine's half block is set aside, whole blocks stay."""
    plan, folder = planned(), Folder(tmp_path / "results")
    first = Pretended(plan, folder, machine="one")
    count = iter(range(100))

    def act(cell: Cell) -> list[Event]:
        if next(count) == 3:
            signal.raise_signal(signal.SIGTERM)
        return first.finish(cell)

    first.act = act
    with pytest.raises(Stopped):  # After slow and fast of seed 0, slow of seed 1 and one more.
        execute(plan, folder, tmp_path / "runs", first)
    folder.record_path(Cell("fast", 1)).unlink()
    _, place, _ = carried_out(tmp_path, machine="other")
    assert place.begun == [cell for cell in plan.cells if cell.seed >= 1]
    assert folder.record_path(Cell("slow", 1)).with_suffix(".aside").exists()
    assert carried_out(tmp_path, machine="third")[1].begun == []


def test_a_machine_that_is_gone_gives_its_seed_back_as_a_whole(tmp_path: Path) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    place, gone = Pretended(plan, folder), list[Cell]()

    def act(cell: Cell) -> list[Event]:
        if cell == Cell("fast", 1) and not gone:
            gone.append(cell)
            return [Event(cell, "gone", {"reason": "its machine is gone"})]
        return place.finish(cell)

    place.act = act
    state = execute(plan, folder, tmp_path / "runs", place)
    assert len(state.done) == 8
    assert place.begun.count(Cell("slow", 1)) == place.begun.count(Cell("fast", 1)) == 2
    assert place.begun.count(Cell("slow", 0)) == 1


def test_a_damaged_record_is_set_aside_and_made_again(tmp_path: Path) -> None:
    _, _, folder = carried_out(tmp_path)
    path = folder.record_path(Cell("fast", 2))
    path.write_bytes(path.read_bytes().replace(b'"steps":12', b'"steps":13'))
    _, place, _ = carried_out(tmp_path)
    assert place.begun == [Cell("fast", 2)]


def test_stale_records_stay_until_they_are_asked_for_anew(tmp_path: Path) -> None:
    plan, folder = planned(), Folder(tmp_path / "results")
    for cell in plan.cells:
        leave(folder, plan, cell, numerics=0 if cell.seed == 3 else 1)
    assert carried_out(tmp_path)[1].begun == []
    assert len(outcome(plan, folder).stale) == 2
    assert carried_out(tmp_path, anew=True)[1].begun == [Cell("slow", 3), Cell("fast", 3)]
    assert outcome(plan, folder).stale == []


def test_a_run_is_measured_again_where_the_study_asks_for_more(tmp_path: Path) -> None:
    """The record is set aside, the run stays; a record whose run is not here stays, too."""
    _, _, folder = carried_out(tmp_path)
    (tmp_path / "runs" / "slow-seed0").mkdir(parents=True)
    more = {**raw()["quantities"], "spikes": {"kind": "spikes", "column": "loss_g"}}
    plan = planned(quantities=more)
    place = Pretended(plan, folder)
    execute(plan, folder, tmp_path / "runs", place, amend=True)
    assert place.begun == [Cell("slow", 0)]
    assert (tmp_path / "runs" / "slow-seed0").is_dir()


def test_a_changed_plan_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """F9."""
    _, _, folder = carried_out(tmp_path)
    plan = planned(seeds=5)
    place = Pretended(plan, folder)
    with pytest.raises(StudyError, match="seeds") as caught:
        execute(plan, folder, tmp_path / "runs", place)
    assert caught.value.exit_code == 2
    assert place.begun == []


def test_what_is_left_is_told_from_what_runs_took(tmp_path: Path) -> None:
    told: list[tuple[int, float | None]] = []
    carried_out(tmp_path, show=lambda state, line: told.append((len(state.done), state.left)))
    assert told[0] == (0, None)
    assert all(left is not None and left >= 0 for done, left in told if done)
    assert told[-1] == (8, 0.0)


def test_what_is_left_is_told_from_runs_in_progress_where_records_are_of_a_faster_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of eight runs took a second each elsewhere. Here one is resumed at half of its steps, another begins; after
    1,000 s they are at 0.6 and 0.1: 0.2 of a run is made, so the other 5.3 runs take 26,500 s."""
    plan = planned()
    done = {cell: record_for(plan, cell, seconds=1.0, measuring=0.0) for cell in plan.cells[:2]}
    state = State(plan, done, began=0.0, waiting=4)
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    first, second = plan.cells[2:4]
    state.heard(first, {"step": 50, "of": 100})
    state.heard(second, {"step": 0, "of": 100})
    assert state.left == pytest.approx(5.5)
    clock = 1000.0
    state.heard(first, {"step": 60, "of": 100})
    state.heard(second, {"step": 10, "of": 100})
    assert state.left == pytest.approx(26_500)


def test_one_seed_shows_its_own_runs(tmp_path: Path) -> None:
    told: list[tuple[list[int], str]] = []
    carried_out(tmp_path, seed=2, show=lambda state, line: told.append((worth_showing(state), summary(state))))
    assert all(seeds == [2] for seeds, _ in told)
    assert told[-1][1] == "2 of 2 runs of seed 2 done"
