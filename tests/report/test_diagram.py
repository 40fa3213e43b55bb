"""Drawings are well-formed SVG with every layer and the training passes of the system."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any

import pytest

import genlab
from genlab.recipe import files
from genlab.report.diagram import WEIGHTED


def words(recipe: str, changes: dict[str, Any] | None = None) -> list[str]:
    root = ET.fromstring(genlab.show(recipe, changes).drawing)
    assert root.tag.endswith("svg")
    return [element.text or "" for element in root.iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("name", files.names())
def test_every_layer_is_drawn(name: str) -> None:
    shown, text = genlab.show(name), words(name)
    for network in shown.networks:
        assert f"{network.name}: {network.parameters:,} parameters" in text
    weighted = sum(layer.type in WEIGHTED for network in shown.networks for layer in network.layers)
    kinds = ("Conv", "ConvTranspose", "Linear")
    assert sum(line.split(" + ")[0] in kinds for line in text) == weighted


@pytest.mark.parametrize("name", ["s2-dcgan", "s4-vae", "wgan-gp", "r3gan-small"])
def test_nothing_is_written_over_something_else(name: str) -> None:
    """Texts closer than a line's height do not overlap, at a width of 0.6 em per character."""
    root = ET.fromstring(genlab.show(name).drawing)
    for network in [group for group in root.iter() if group.tag.endswith("}g")]:
        places = []
        for text in (each for each in network if each.tag.endswith("text")):
            x, wide = float(text.get("x", 0)), 0.6 * float(text.get("font-size", 13)) * len(text.text or "")
            left = x - wide if text.get("text-anchor") == "end" else x
            places.append((float(text.get("y", 0)), left, left + wide, text.text))
        for a, b in combinations(places, 2):
            assert abs(a[0] - b[0]) > 12 or a[2] < b[1] or b[2] < a[1], (a, b)


def test_a_gan_is_trained_in_two_passes() -> None:
    text = words("s3-mlp")
    assert text[0] == "Pass 1: the discriminator learns; the generator is held fixed"
    assert "Pass 2: the generator learns; the discriminator is held fixed" in text
    assert "gradient, to D only" in text
    assert "gradient, through D and the image, to G only" in text
    assert "noise, fresh" in text
    assert "noise, the same" in words("s2-dcgan")


def test_a_player_alone_has_one_pass() -> None:
    assert not any("Pass 2" in line for line in words("s2-dcgan", {"objective.players": "generator"}))
    assert any("Pass 1" in line for line in words("s2-dcgan", {"objective.players": "discriminator"}))


def test_conditions_are_drawn() -> None:
    text = words("s2-cdcgan", {"networks.discriminator.labels": False})
    assert "z, y" in text
    assert "x" in text
    assert "x, y" in words("s2-cdcgan")


def test_augmented_images_are_drawn_as_such() -> None:
    """Both passes mark images as augmented; without augmentation, neither does."""
    text = words("s2-cdcgan", {"augmentation.cutout": 0.5})
    assert {"T(x), y", "T(G(z)), y", "T(G(z))", "real, augmented", "augmented"} <= set(text)
    assert not {"x, y", "G(z), y", "G(z)", "real images", "generated"} & set(text)
    assert not any("T(" in line for line in words("s2-cdcgan"))


def test_the_other_families() -> None:
    assert {"encoder", "decoder", "KL divergence", "squared error"} <= set(words("s4-vae"))
    assert "cross-entropy" in words("conv-vae")
    assert "logits" in words("s4-classifier")
