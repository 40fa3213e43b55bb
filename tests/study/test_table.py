"""Tables from anywhere: statistics are those of studies, and a file is read as intended or refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.errors import DataError, GenlabError, StudyError, UsageError
from genlab.evaluation import statistics
from genlab.study.table import Comparison, compare, of_csv

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=8), RNG.normal(size=8) + 2.5


def lines(separator: str = ",") -> list[str]:
    rows = [("net", "seed", "score")]
    rows += [(arm, str(k), repr(float(v))) for arm, x in (("a", A), ("b", B)) for k, v in enumerate(x)]
    return [separator.join(row) for row in rows]


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Comparison:
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return of_csv(tmp_path / "t.csv", **{"arm": "net", "value": "score", **options})


@pytest.mark.parametrize("paired", [False, True])
def test_the_statistics_are_those_of_the_same_numbers(tmp_path: Path, paired: bool) -> None:
    found = read(tmp_path, "\n".join(lines()), seed="seed", paired=paired).verdicts["a - b"].tests[0]
    expected = (statistics.paired if paired else statistics.difference)(A, B)
    assert (found.p, found.interval, found.difference) == (expected.p, expected.interval, expected.difference)
    assert found.answer == "lower"


def test_pairs_are_found_by_their_seed_in_whatever_order(tmp_path: Path) -> None:
    first, *rest = lines()
    found = read(tmp_path, "\n".join([first, *rest[:8], *rest[:7:-1]]), seed="seed", paired=True)
    assert found.verdicts["a - b"].tests[0].p == statistics.paired(A, B).p


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("start", "end"), [("", "\n"), ("\ufeff", "\r\n"), ("", "\n\n")])
def test_a_file_is_read_however_it_is_separated(tmp_path: Path, separator: str, start: str, end: str) -> None:
    found = read(tmp_path, start + end.join(lines(separator)) + end)
    assert list(found.values) == ["a", "b"]
    assert list(found.values["a"].values()) == A.tolist()


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("net,scor\na,1\n", {}, "unknown column 'score'; did you mean 'scor'"),
        ("", {}, "unknown column 'net'. Known: none"),
        ("net,score,score\na,1,2\n", {}, "column 'score' occurs 2 times"),
        ("net,score\na,1\n\nb,nan\n", {}, "t.csv line 4: score is 'nan'; a finite number is needed"),
        ("net,score\na,many\n", {}, "line 2: score is 'many'; a finite number"),
        ("net,score\na,1\nb\n", {}, "line 3: score is ''"),
        ("net,score\na,1\n,2\n", {}, "line 3: net is empty"),
        ("net,seed,score\na,1,2\na,1,3\n", {"seed": "seed"}, "line 3: net 'a' has seed 1 twice"),
        ("net,seed,score\na,1.5,2\n", {"seed": "seed"}, "line 2: seed is '1.5'; a whole number"),
        (b"net,score\n\xff,1\n", {}, "not UTF-8 text (byte 10)"),
        ('net,score\n"' + "x" * 200_000 + '",1\n', {}, "field larger than"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, **options)
    assert said in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"paired": True}, "--paired needs the column of the seed"),
        ({"margin": 0.0}, "margin is 0; allowed: more than 0"),
        ({"margin": float("nan")}, "margin is nan"),
    ],
)
def test_options_that_fit_no_file_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, "\n".join(lines()), **options)


def test_no_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        of_csv(tmp_path / "nowhere.csv", arm="a", value="v")


def series(**counts: int) -> dict[str, dict[int, float]]:
    return {arm: {k: float(k) for k in range(n)} for arm, n in counts.items()}


@pytest.mark.parametrize(
    ("values", "paired", "said"),
    [
        (series(a=3, b=3), False, "3 seeds per arm cannot show a difference in 1 test: .* 4 seeds per arm could"),
        (series(a=5, b=5), True, "5 seeds .* the smallest possible p is 0.062, .* 6 seeds per arm could"),
        (series(a=1, b=1), False, "1 seed per arm .* 4 seeds per arm could"),
        (series(a=4, b=4, c=4), False, "in 3 tests: the smallest possible p is 0.029, corrected 0.086; 5 seeds"),
        (series(a=9), False, "1 arm; allowed: 2 .. 100"),
        (series(**{f"a{k}": 9 for k in range(101)}), False, "101 arms; allowed: 2 .. 100"),
    ],
)
def test_numbers_that_can_show_nothing_are_refused_with_how_many_could(values: Any, paired: bool, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        compare("t", "x", values, paired)
    assert caught.value.exit_code == 2


def test_an_arm_of_few_seeds_does_not_keep_others_from_being_compared() -> None:
    values = {"a": dict(enumerate(A)), "b": dict(enumerate(B + 9)), "c": {0: 1.0}}
    found = compare("t", "x", values).verdicts
    assert {name: verdict.answer for name, verdict in found.items()} == {
        "a - b": "holds",
        "a - c": "cannot be decided here",
        "b - c": "cannot be decided here",
    }


def test_many_arms_are_compared_with_the_first() -> None:
    assert len(compare("t", "x", series(**{f"a{k}": 9 for k in range(6)})).verdicts) == 15
    assert list(compare("t", "x", series(**{f"a{k}": 9 for k in range(7)})).verdicts) == [
        f"a0 - a{k}" for k in range(1, 7)
    ]


def test_names_as_long_as_they_come_are_no_bug() -> None:
    assert compare("t", "x", series(**{"a" * 400: 8, "b" * 400: 8})).verdicts


def test_a_page_holds_what_was_found_and_runs_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "\n".join(lines()).replace("a,", "<script>x</script>,"))
    found.save(tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text("utf-8")
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert page.count("<blockquote>") == 2
    with pytest.raises(GenlabError, match=r"\.html \(the page\)"):
        found.save(tmp_path / "p.txt")
