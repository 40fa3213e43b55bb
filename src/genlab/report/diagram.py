"""Drawings of a recipe as SVG: its networks layer by layer, and the whole system with its passes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from genlab.families.drawing import Arrow, Box, Diagram, Gradient, Heading
from genlab.families.nets.describe import Description, Layer
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe

INK, SOFT, LINE = "#1c2430", "#5b6675", "#8a94a3"
BLUE, ORANGE, HELD = "#dbeaf5", "#d55e00", "#eceff2"
COLUMN, ROW, GAP = 330, 46, 14
PARTS = {"layers": "joined", "z_branch": "branch of z", "x_branch": "branch of x", "y_branch": "branch of the class y"}
WEIGHTED = ("Conv2d", "ConvTranspose2d", "Linear")


def drawing(recipe: Recipe, described: Sequence[Description]) -> str:
    """The system above, its networks below, as one SVG."""
    diagram = FAMILIES[recipe.family].diagram(recipe)
    columns = [_network(description) for description in described]
    top = diagram.height + 30
    total_width = max(diagram.width, len(columns) * (COLUMN + GAP) - GAP)
    total_height = top + max((bottom for _, bottom in columns), default=0)
    parts = [f'<g transform="translate({k * (COLUMN + GAP)} {top})">{body}</g>' for k, (body, _) in enumerate(columns)]
    title = escape(f"{recipe.name}: the system and its networks")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {total_width + 8} {total_height + 8}" role="img" '
        f'width="{total_width + 8}" height="{total_height + 8}" font-family="system-ui, sans-serif" font-size="13">'
        f"<title>{title}</title>{_heads()}{_system(diagram)}{''.join(parts)}</svg>"
    )


def _system(diagram: Diagram) -> str:
    """The whole system."""
    drawn = {
        Heading: lambda p: _heading(p.x, p.y, p.text),
        Box: lambda p: _box(p.x, p.y, p.width, p.title, p.below, HELD if p.held else BLUE),
        Arrow: lambda p: _arrow(p.x1, p.y1, p.x2, p.y2),
        Gradient: lambda p: _back(p.x1, p.y1, p.x2, p.y2, p.by, p.text),
    }
    return "".join(drawn[type(part)](part) for part in diagram.parts)


def _network(description: Description) -> tuple[str, int]:
    """A network as a column of boxes, and the column's height. Each box holds a weighted layer and those after it."""
    parts = [_heading(0, 14, f"{description.name}: {description.parameters:,} parameters")]
    y, part = 28, ""
    several = len({layer.path.partition(".")[0] for layer in description.layers}) > 1
    for block in _blocks(description.layers):
        name = block[0].path.partition(".")[0]
        if several and name != part:
            parts.append(_text(0, y + 12, PARTS.get(name, name.replace("_", " ")), SOFT, 12))
            y, part = y + 20, name
        words = " + ".join(_short(layer.type) for layer in block)
        shape = " x ".join(map(str, block[-1].output_shape))
        count = sum(layer.parameters for layer in block)
        fill = BLUE if block[0].type in WEIGHTED else "#ffffff"
        parts.append(f'<rect x="0" y="{y}" width="{COLUMN}" height="{ROW - 8}" rx="5" fill="{fill}" stroke="{LINE}"/>')
        parts.append(_text(10, y + 16, words, INK, 12))
        parts.append(_text(10, y + 31, f"{count:,} parameters" if count else "no parameters", SOFT, 11))
        parts.append(_text(COLUMN - 10, y + 31, shape, INK, 12, "end"))
        y += ROW
    return "".join(parts), y


def _blocks(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in groups, each of which begins at a weighted layer or at a new part of the network."""
    blocks: list[list[Layer]] = []
    for layer in layers:
        part = layer.path.partition(".")[0]
        if not blocks or layer.type in WEIGHTED or blocks[-1][0].path.partition(".")[0] != part:
            blocks.append([])
        blocks[-1].append(layer)
    return blocks


def _short(kind: str) -> str:
    return kind.replace("BatchNorm2d", "BatchNorm").replace("BatchNorm1d", "BatchNorm").replace("2d", "")


def _heads() -> str:
    """Arrow heads."""
    return "<defs>" + "".join(
        f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        for name, colour in (("data", INK), ("gradient", ORANGE))
    ) + "</defs>"  # fmt: skip


def _text(x: float, y: float, words: str, colour: str = INK, size: int = 13, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'


def _heading(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{INK}" font-weight="600">{escape(words)}</text>'


def _box(x: float, y: float, width: float, words: str, below: str, fill: str = BLUE) -> str:
    dash = ' stroke-dasharray="4 3"' if fill == HELD else ""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="40" rx="5" fill="{fill}" stroke="{LINE}"{dash}/>'
        + _text(x + width / 2, y + 17, words, INK, 13, "middle")
        + _text(x + width / 2, y + 32, below, SOFT, 11, "middle")
    )


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2 - 1}" y2="{y2}" stroke="{INK}" stroke-width="1.4" '
        'marker-end="url(#head-data)"/>'
    )


def _back(x1: float, y1: float, x2: float, y2: float, low: float, words: str) -> str:
    """The gradient's dashed path back, below or above the boxes."""
    end = y2 + 2 if low > y2 else y2 - 2
    return (
        f'<path d="M{x1} {y1} V{low} H{x2} V{end}" fill="none" stroke="{ORANGE}" stroke-width="1.4" '
        'stroke-dasharray="5 4" marker-end="url(#head-gradient)"/>'
        + _text((x1 + x2) / 2, low - 5, words, ORANGE, 12, "middle")
    )
