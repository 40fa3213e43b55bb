"""Each half-step of a lesson moves only one player along its loss, and is undone bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genlab.errors import UsageError
from genlab.studio.lesson import KEPT, Lesson, Player, as_json


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    made = Lesson()
    made.rounds(20)
    return made


def weights(lesson: Lesson) -> dict[str, Tensor]:
    nets = {"D": lesson._gan.D, "G": lesson._gan.G}
    return {f"{name}.{key}": value.clone() for name, net in nets.items() for key, value in net.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {key[0] for key in before if not torch.equal(before[key], after[key])}


def test_one_player_moves_and_the_other_stays(lesson: Lesson) -> None:
    before = weights(lesson)
    half = lesson.move("D")
    assert changed(before, weights(lesson)) == {"D"}
    assert half.gradient is None
    assert torch.equal(*half.images)
    # D's loss is the cross-entropy of its outputs before it moved: the mean over both kinds, as in the recipe.
    cross_entropy = -(half.real[0].log().mean() + (1 - half.fake[0]).log().mean()) / 2
    assert half.loss == pytest.approx(float(cross_entropy), rel=1e-4)
    before = weights(lesson)
    half = lesson.move("G")
    assert changed(before, weights(lesson)) == {"G"}
    assert torch.equal(*half.real)
    assert half.loss == pytest.approx(float(-half.fake[0].log().mean()), rel=1e-4)
    # G's step fools D a little more, and the gradient's picture shows the direction.
    assert half.fake[1].mean() > half.fake[0].mean()
    assert half.gradient is not None
    x = half.images[0]
    with torch.no_grad():
        nudged = lesson._gan.D(x + 1e-2 * half.gradient / half.gradient.abs().max())
        assert (nudged > lesson._gan.D(x)).all()


def test_undo_leads_back_to_the_very_weights(lesson: Lesson) -> None:
    before, done = weights(lesson), lesson.done
    first = lesson.move("D", 3)
    lesson.move("G")
    for _ in range(4):
        assert lesson.undo()
    assert (changed(before, weights(lesson)), lesson.done, lesson.last) == (set(), done, None)
    again = lesson.move("D", 3)
    assert again.loss == first.loss
    assert torch.equal(again.fake[1], first.fake[1])
    lesson.rounds(KEPT)
    assert sum(lesson.undo() for _ in range(3 * KEPT)) == KEPT


def test_many_moves_are_seen_from_before_the_first_to_after_the_last(lesson: Lesson) -> None:
    done = lesson.done
    many = lesson.move("D", 3)
    after = lesson._seen(*lesson._next(done + 3))
    for _ in range(3):
        lesson.undo()
    before = lesson._seen(*lesson._next(done + 3))
    for pair, first, then in zip((many.real, many.fake, many.images), before, after, strict=True):
        assert torch.equal(pair[0], first)
        assert torch.equal(pair[1], then)
    both = lesson.rounds(2)
    assert (both.player, both.times, lesson.done) == ("both", 2, done + 4)
    assert both.gradient is not None
    for _ in range(4):
        lesson.undo()
    assert torch.equal(lesson._seen(*lesson._next(done + 4))[1], both.fake[0])


def test_what_a_page_gets(lesson: Lesson) -> None:
    lesson.move("G")
    told, pictures = as_json(lesson)
    assert (told["player"], len(pictures)) == ("G", 3)
    assert all(sum(counts) == 64 for pair in told["counts"].values() for counts in pair)
    import io

    with Image.open(io.BytesIO(pictures[2])) as picture:
        assert np.asarray(picture).shape == (28, 8 * 30 - 2, 3)
    lesson.undo()
    resting, pictures = as_json(lesson)
    assert "player" not in resting
    # At rest the page shows the state before the next half-step, whoever moves.
    players: tuple[Player, ...] = ("D", "G")
    for player in players:
        lesson.move(player)
        moved, then = as_json(lesson)
        assert all([moved["counts"][name][0]] == resting["counts"][name] for name in ("real", "fake"))
        assert then[0] == pictures[0]
        lesson.undo()
    for times in (0, -1, 10**6):
        with pytest.raises(UsageError):
            lesson.move("D", times)
