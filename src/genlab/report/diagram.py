"""Drawings of a recipe as SVG: its networks layer by layer, and the whole system with its passes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from genlab.families.nets.describe import Description, Layer
from genlab.recipe import GanRecipe, Recipe, VaeRecipe
from genlab.recipe.objectives import LOSSES

INK, SOFT, LINE = "#1c2430", "#5b6675", "#8a94a3"
BLUE, ORANGE, HELD = "#dbeaf5", "#d55e00", "#eceff2"
COLUMN, ROW, GAP = 330, 46, 14
PARTS = {"layers": "joined", "z_branch": "branch of z", "x_branch": "branch of x", "y_branch": "branch of the class y"}
WEIGHTED = ("Conv2d", "ConvTranspose2d", "Linear")


def drawing(recipe: Recipe, described: Sequence[Description]) -> str:
    """The system above, its networks below, as one SVG."""
    system, width, height = _system(recipe)
    columns = [_network(description) for description in described]
    top = height + 30
    total_width = max(width, len(columns) * (COLUMN + GAP) - GAP)
    total_height = top + max(bottom for _, bottom in columns)
    parts = [f'<g transform="translate({k * (COLUMN + GAP)} {top})">{body}</g>' for k, (body, _) in enumerate(columns)]
    title = escape(f"{recipe.name}: the system and its networks")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {total_width + 8} {total_height + 8}" role="img" '
        f'width="{total_width + 8}" height="{total_height + 8}" font-family="system-ui, sans-serif" font-size="13">'
        f"<title>{title}</title>{_heads()}{system}{''.join(parts)}</svg>"
    )


def _system(recipe: Recipe) -> tuple[str, int, int]:
    """The whole system, its width and height."""
    if isinstance(recipe, GanRecipe):
        return _gan(recipe)
    if isinstance(recipe, VaeRecipe):
        return _vae(recipe)
    parts = [
        _heading(0, 14, "One pass: the classifier learns"),
        _box(0, 40, 90, "x", "images"),
        _box(160, 40, 130, "classifier", "learns"),
        _box(360, 40, 90, "logits", "one a class"),
        _box(520, 40, 150, "cross-entropy", "with the label"),
        *(_arrow(x, 60, x + 70, 60) for x in (90, 290, 450)),
        _back(595, 80, 225, 80, 112, "gradient"),
    ]
    return "".join(parts), 680, 130


def _gan(recipe: GanRecipe) -> tuple[str, int, int]:
    y_g = ", y" if recipe.conditional else ""
    y_d = ", y" if recipe.discriminator_conditional else ""
    players, parts, top = recipe.objective.players, [], 0
    if players != "generator":
        steps = recipe.objective.critic_steps
        again = f", {steps} times" if steps > 1 else ""
        parts += [
            _heading(0, top + 14, f"Pass 1: the discriminator learns{again}; the generator is held fixed"),
            _box(0, top + 40, 110, f"z{y_g}", "noise"),
            _box(150, top + 40, 130, "generator G", "held fixed", HELD),
            _box(340, top + 40, 100, f"G(z){y_d}", "generated"),
            _box(340, top + 100, 100, f"x{y_d}", "real images"),
            _box(510, top + 70, 140, "discriminator D", "learns"),
            _box(720, top + 70, 130, "loss of D", "real from generated"),
            _arrow(110, top + 60, 150, top + 60),
            _arrow(280, top + 60, 340, top + 60),
            _arrow(440, top + 60, 510, top + 82),
            _arrow(440, top + 120, 510, top + 98),
            _arrow(650, top + 90, 720, top + 90),
            _back(785, top + 110, 580, top + 110, top + 140, "gradient, to D only"),
        ]
        top += 170
    if players != "discriminator":
        again = " the same" if recipe.objective.generator_noise == "reuse" and players == "both" else " fresh"
        number = "Pass 2: the" if players == "both" else "One pass: the"
        pairs = LOSSES[recipe.objective.loss].pairs
        parts += [
            _heading(0, top + 14, f"{number} generator learns; the discriminator is held fixed"),
            _box(0, top + 40, 110, f"z{y_g}", f"noise,{again}"),
            _box(150, top + 40, 130, "generator G", "learns"),
            _box(340, top + 40, 100, "G(z)", "generated"),
            _box(510, top + 40, 140, "discriminator D", "held fixed", HELD),
            _box(720, top + 40, 130, "loss of G", "against real ones" if pairs else "taken for real"),
            *(_arrow(x, top + 60, x + w, top + 60) for x, w in ((110, 40), (280, 60), (440, 70), (650, 70))),
            _back(785, top + 80, 215, top + 80, top + 112, "gradient, through D and the image, to G only"),
        ]
        top += 140
    return "".join(parts), 860, top


def _vae(recipe: VaeRecipe) -> tuple[str, int, int]:
    y = ", y" if recipe.conditional else ""
    error = "squared error" if recipe.objective.likelihood == "gaussian" else "cross-entropy"
    parts = [
        _heading(0, 14, "One pass: encoder and decoder learn together"),
        _box(0, 100, 80, f"x{y}", "images"),
        _box(120, 100, 100, "encoder", "learns"),
        _box(260, 70, 110, "mean(x)", f"{recipe.latent} numbers"),
        _box(260, 130, 110, "variance(x)", f"{recipe.latent} numbers"),
        _box(410, 100, 130, "z ~ q(z|x)", "mean + sd * noise"),
        _box(410, 36, 130, "KL divergence", "of q from N(0, I)"),
        _box(590, 100, 100, f"decoder{y}", "learns"),
        _box(740, 100, 120, error, "of x by dec(z)"),
        _arrow(80, 120, 120, 120),
        _arrow(220, 112, 260, 92),
        _arrow(220, 128, 260, 148),
        _arrow(370, 92, 410, 112),
        _arrow(370, 148, 410, 128),
        _arrow(370, 84, 410, 60),
        _arrow(370, 140, 412, 76),
        _arrow(540, 120, 590, 120),
        _arrow(690, 120, 740, 120),
        _back(475, 36, 170, 100, 26, "gradient"),
        _back(800, 140, 640, 140, 172, "gradient"),
        _back(790, 140, 170, 140, 198, "gradient, through the decoder and z"),
    ]
    return f'{parts[0]}<g transform="translate(0 16)">{"".join(parts[1:])}</g>', 868, 228


def _network(description: Description) -> tuple[str, int]:
    """A network as a column of boxes, and its height. Boxes hold a weighted layer and what follows it."""
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
        parts.append(_text(COLUMN - 10, y + 24, shape, INK, 12, "end"))
        y += ROW
    return "".join(parts), y


def _blocks(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in groups that begin with a weighted one, or with another part of the network."""
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
    """A dashed way back below the boxes, or above them: that of the gradient."""
    end = y2 + 2 if low > y2 else y2 - 2
    return (
        f'<path d="M{x1} {y1} V{low} H{x2} V{end}" fill="none" stroke="{ORANGE}" stroke-width="1.4" '
        'stroke-dasharray="5 4" marker-end="url(#head-gradient)"/>'
        + _text((x1 + x2) / 2, low - 5, words, ORANGE, 12, "middle")
    )
