from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from genlab.report import plots, style
from genlab.report.figures import evaluation


def test_shares_of_a_confusion_matrix_are_of_its_rows() -> None:
    """A class with twice as many images is no darker (90 of 100 looks like 180 of 200); cells contain the counts."""
    counts = np.array([[90, 10], [20, 180]])
    (axes,) = plots.confusion(counts, ["a", "b"]).axes
    assert np.allclose(np.asarray(axes.images[0].get_array()), [[0.9, 0.1], [0.1, 0.9]])
    assert [text.get_text() for text in axes.texts] == ["90", "10", "20", "180"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_an_absent_class_is_no_division_by_zero() -> None:
    (axes,) = plots.confusion(np.array([[0, 0], [1, 3]]), ["a", "b"]).axes
    assert np.asarray(axes.images[0].get_array())[0].tolist() == [0, 0]


def test_names_are_no_mathematics() -> None:
    """A dollar sign would be read as TeX, and a name with a leading underscore would be left out of the legend."""
    figure = plots.confusion(np.eye(2, dtype=int), [r"$\foo$", "_b"])
    assert plots.png(figure, {})
    points = np.zeros((2, 2))
    drawn = plots.latent_map(np.zeros((4, 4, 1), np.uint8), points, np.array([0, 1]), ["$a$ $", "_b"], 3.0)
    legend = drawn.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == [r"\$a\$ \$", "_b"]
    assert plots.png(drawn, {})


def test_the_map_colours_points_by_class() -> None:
    picture, points = np.zeros((8, 8, 1), np.uint8), np.array([[0.0, 1.0], [2.0, 3.0], [0.5, 0.5]])
    _, right = plots.latent_map(picture, points, np.array([0, 1, 1]), ["a", "b"], 3.0).axes
    assert [np.shape(kind.get_offsets())[0] for kind in right.collections] == [1, 2]
    assert right.get_legend() is not None
    assert len(plots.latent_map(picture, None, None, [], 3.0).axes) == 1


def test_text_is_in_the_file() -> None:
    data = plots.png(plots.confusion(np.eye(2, dtype=int), ["a", "b"]), {"genlab:title": "T", "genlab:caption": "C: a"})
    with Image.open(io.BytesIO(data)) as image:
        assert image.text["genlab:caption"] == "C: a"  # type: ignore[attr-defined]


def test_spectra_of_black_images_have_no_logarithm() -> None:
    f, nothing, something = np.arange(1, 5) / 8, np.zeros(4), np.ones(4)
    (axes,) = plots.spectrum(f, nothing, something, ((0.1, 0.2),)).axes
    assert axes.get_yscale() == "linear"
    (axes,) = plots.spectrum(f, something / 2, something, ((0.1, 0.2),)).axes
    assert axes.get_yscale() == "log"
    real, generated = axes.lines
    assert (real.get_label(), generated.get_label()) == ("real", "generated")
    assert np.asarray(generated.get_ydata()).tolist() == [0.5] * 4


def test_classes_have_a_panel_for_each_quantity_that_is_there() -> None:
    rows = [
        {"class": "$a", "share": 0.6, "share_in_data": 0.5, "legibility": 0.9, "requested_class_accuracy": None},
        {"class": "b", "share": 0.4, "share_in_data": 0.5, "legibility": None, "requested_class_accuracy": None},
    ]
    figure = plots.classes(rows)
    assert [axes.get_title() for axes in figure.axes] == ["share of samples", "judge confidence"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.6, 0.4]  # type: ignore[attr-defined]
    assert [np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines] == [[0.5, 0.5]] * 2
    assert figure.axes[0].yaxis_inverted()  # the first class on top
    assert plots.png(figure, {})


def test_responses_have_a_panel_for_each_disturbance() -> None:
    figure = plots.curves({"noise": (["0.1", "0.2"], [2.0, 30.0]), "blur": (["1"], [5.0])}, "floors")
    assert [axes.get_title() for axes in figure.axes] == ["noise", "blur"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0.1", "0.2"]


def test_the_nearest_samples_are_of_every_class() -> None:
    """The two nearest of each of ten classes are shown; without classes, the nearest of all."""
    rng = np.random.default_rng(0)
    distances, kinds = rng.random(1000), rng.integers(0, 12, 1000)
    distances[kinds == 1] /= 1000  # All of the nearest are in one class.
    shown = evaluation._closest(distances, kinds)
    assert len(shown) == 20
    for kind in set(kinds[shown].tolist()):
        mine = np.flatnonzero(kinds == kind)
        assert set(shown[kinds[shown] == kind].tolist()) == set(mine[distances[mine].argsort()[:2]].tolist())
    assert evaluation._closest(distances, None).tolist() == distances.argsort()[:20].tolist()
    assert kinds[evaluation._closest(distances[:1], kinds[:1])].tolist() == kinds[:1].tolist()


@pytest.mark.parametrize("values", [[0.5, 5.0], [1.0, 1000.0], [0.02, 0.03]])
def test_a_logarithmic_axis_has_plain_numbers(values: list[float]) -> None:
    with style.canvas("x") as (figure, axes):
        axes.plot([1, 2], values)
        style.log_scale(axes, [np.array(values)])
        svg = style.as_svg(figure)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert axes.get_yscale() == "log"
    assert texts
    assert all(re.fullmatch(r"[\d.e+-]+", text) for text in texts), texts
    assert "10^" not in svg
    assert "mathdefault" not in svg


@pytest.mark.parametrize("values", [[0.0, 5.0], [3.0, 3.0], [math.nan, math.nan]])
def test_what_has_no_logarithm_stays_linear(values: list[float]) -> None:
    with style.canvas("x") as (_, axes):
        style.log_scale(axes, [np.array(values)])
        assert axes.get_yscale() == "linear"


def test_a_figure_takes_its_colours_from_the_page() -> None:
    with style.canvas("x") as (figure, axes):
        axes.plot([1, 2], [1, 2], color=style.COLOURS[1])
        axes.annotate("a level", (1, 1), color=style.SOFT)
        svg = style.as_svg(figure)
    assert f"var(--c2, {style.COLOURS[1]})" in svg
    assert "currentColor" in svg
    assert style.SOFT not in svg.replace(f"var(--soft, {style.SOFT})", "")
    assert "#000000" not in svg
    assert "fill: #ffffff" not in svg, "it has no ground of its own"


@pytest.mark.parametrize("count", [1, 4, 12, 40])
def test_a_legend_of_many_rows_leaves_the_axes_as_high_as_one_of_four(count: int) -> None:
    labels = [f"an arm with a name that takes a whole line {k}" for k in range(count)]
    with style.canvas("many") as (figure, axes):
        for label in labels:
            axes.plot([0, 1], [0, 1], label=label)
        style.legend(axes, labels)
        height = axes.get_position().height * figure.get_figheight()
    with style.canvas("four") as (figure, axes):
        axes.plot([0, 1], [0, 1], label=labels[0])
        style.legend(axes, labels[:1] * 4)
        least = axes.get_position().height * figure.get_figheight()
    assert height == pytest.approx(least) if count >= 4 else height > least


def test_a_latent_map_of_unlabelled_images_has_one_kind_of_points() -> None:
    """The training images may have classes where the test images have none."""
    figure = plots.latent_map(np.zeros((4, 4, 1), np.uint8), np.zeros((3, 2)), None, ["cat", "dog"], 3.0)
    legend = figure.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["images"]
