"""Props: drawn things with a moving part, as RGBA pictures of how open, full or lit they are."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from kinoscope.training.world.drawing import PALETTE, RGB, SIDE_PX, edge, shade

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_SIDE = SIDE_PX * 2  # drawn at twice the size, then reduced
_INSIDE = (46, 34, 28)
_GLASS = (214, 234, 244, 110)
_RIM = (120, 150, 170, 255)
_LIT = (255, 236, 140)
_DARK = (92, 90, 86)


def prop(name: str, color: str, accent: str, state: float) -> "Image":
    """The picture of a prop, 192 px square; `state` is 0 closed, empty or off .. 1."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (_SIDE, _SIDE))
    paint = _PAINTERS[name]
    paint(ImageDraw.Draw(image, "RGBA"), PALETTE[color], PALETTE[accent or "blue"], state)
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)


def _box(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    """A crate from the front; the lid turns about its left end."""
    s, line = _SIDE, edge(color)
    left, right, top, bottom = 0.16 * s, 0.84 * s, 0.52 * s, 0.97 * s
    if state > 0.02:
        rise = 0.13 * s
        draw.polygon(
            [
                (left, top),
                (left + 0.05 * s, top - rise),
                (right - 0.05 * s, top - rise),
                (right, top),
            ],
            _INSIDE,
            line,
            4,
        )
    draw.rectangle((left, top, right, bottom), color, line, 6)
    draw.rectangle((0.45 * s, top, 0.55 * s, bottom), shade(color, 0.82))
    angle = math.radians(112 * state)
    along = ((right - left) * math.cos(angle), -(right - left) * math.sin(angle))
    across = (-0.09 * s * math.sin(angle), -0.09 * s * math.cos(angle))
    corner = (left, top)
    points = [
        corner,
        (corner[0] + along[0], corner[1] + along[1]),
        (corner[0] + along[0] + across[0], corner[1] + along[1] + across[1]),
        (corner[0] + across[0], corner[1] + across[1]),
    ]
    draw.polygon(points, shade(color, 1.18), line, 6)


def _door(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    """A door in its frame; the leaf swings about its left edge towards the viewer."""
    s, line = _SIDE, edge(color)
    left, right, top, bottom = 0.26 * s, 0.78 * s, 0.05 * s, 0.98 * s
    draw.rectangle((left - 0.05 * s, 0, right + 0.05 * s, bottom), (150, 140, 128), (90, 84, 76), 5)
    draw.rectangle((left, top, right, bottom), (250, 226, 150))
    draw.rectangle((left, 0.7 * s, right, bottom), (176, 150, 104))
    width = (right - left) * math.cos(math.radians(100 * state))
    drop = 0.09 * s * math.sin(math.radians(90 * state))
    free = left + width
    draw.polygon(
        [(left, top), (free, top - drop / 2), (free, bottom + drop), (left, bottom)], color, line, 6
    )
    if abs(width) > 0.1 * s:
        for low, high in ((0.14, 0.46), (0.54, 0.88)):
            draw.rectangle(
                (
                    min(left + 0.18 * width, left + 0.8 * width),
                    low * s,
                    max(left + 0.18 * width, left + 0.8 * width),
                    high * s,
                ),
                shade(color, 0.84),
                line,
                3,
            )
        knob = left + 0.88 * width
        draw.ellipse((knob - 9, 0.5 * s - 9, knob + 9, 0.5 * s + 9), (240, 210, 80), (90, 70, 20))


def _book(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    """A book lying face up; its cover turns from the right page to the left."""
    s, line = _SIDE, edge(color)
    spine, top, bottom = 0.5 * s, 0.18 * s, 0.86 * s
    width = 0.47 * s
    draw.rectangle((spine, top, spine + width, bottom), shade(color, 0.8), line, 5)
    draw.rectangle(
        (spine, top + 0.02 * s, spine + 0.95 * width, bottom - 0.03 * s), (250, 248, 238)
    )
    _lines(draw, spine + 0.1 * width, spine + 0.85 * width, top, bottom)
    turn = math.cos(math.pi * state)
    lift = 0.14 * s * math.sin(math.pi * state)
    free = spine + width * turn
    outside = turn > 0
    draw.polygon(
        [(spine, top), (free, top - lift), (free, bottom - lift), (spine, bottom)],
        color if outside else (250, 248, 238),
        line,
        6,
    )
    if outside and turn > 0.4:
        draw.rectangle(
            (
                spine + 0.2 * width * turn,
                top + 0.12 * s,
                spine + 0.8 * width * turn,
                top + 0.24 * s,
            ),
            shade(color, 1.5),
        )
    if turn < -0.4:
        draw.line((spine, bottom, free, bottom - lift), color, 12)
        draw.line((free, top - lift, free, bottom - lift), color, 12)
        _lines(draw, free + 0.12 * width, spine - 0.1 * width, top, bottom)


def _lines(draw: "ImageDraw", left: float, right: float, top: float, bottom: float) -> None:
    for number in range(6):
        y = top + 0.1 * _SIDE + number * 0.09 * _SIDE
        if y < bottom - 0.05 * _SIDE and right > left:
            draw.line((left, y, right, y), (150, 150, 160), 5)


def _vessel(
    draw: "ImageDraw", outline: list[tuple[float, float]], accent: RGB, state: float, color: RGB
) -> None:
    """A glass vessel of a polygon, filled from below, with a colored base."""
    s = _SIDE
    points = [(x * s, y * s) for x, y in outline]
    draw.polygon(points, _GLASS)
    low, high = max(y for _, y in points), min(y for _, y in points) + 0.06 * s
    level = low - (low - high) * state
    if state > 0.01:
        liquid = _below(points, level)
        if len(liquid) > 2:
            draw.polygon(liquid, (*accent, 255))
    draw.polygon(points, None, _RIM, 7)
    draw.line((points[0], points[-1]), _RIM, 7)
    left, right = min(x for x, y in points if y == low), max(x for x, y in points if y == low)
    draw.rectangle((left - 6, low - 10, right + 6, low + 14), color, edge(color), 3)


def _below(points: list[tuple[float, float]], level: float) -> list[tuple[float, float]]:
    """The part of a polygon below a horizontal line (Sutherland-Hodgman, one edge)."""
    kept = []
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 >= level:
            kept.append((x0, y0))
        if (y0 >= level) != (y1 >= level):
            share = (level - y0) / (y1 - y0)
            kept.append((x0 + (x1 - x0) * share, level))
    return kept


def _drinking_glass(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    outline = [(0.2, 0.05), (0.3, 0.94), (0.7, 0.94), (0.8, 0.05)]
    _vessel(draw, outline, accent, state, color)


def _jar(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    outline = [(0.24, 0.14), (0.14, 0.26), (0.14, 0.94), (0.86, 0.94), (0.86, 0.26), (0.76, 0.14)]
    _vessel(draw, outline, accent, state, color)
    s = _SIDE
    draw.rectangle((0.22 * s, 0.03 * s, 0.78 * s, 0.15 * s), color, edge(color), 5)


def _bottle(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    outline = [
        (0.41, 0.12),
        (0.41, 0.32),
        (0.28, 0.46),
        (0.28, 0.94),
        (0.72, 0.94),
        (0.72, 0.46),
        (0.59, 0.32),
        (0.59, 0.12),
    ]
    _vessel(draw, outline, accent, state, color)
    s = _SIDE
    draw.rectangle((0.38 * s, 0.02 * s, 0.62 * s, 0.13 * s), color, edge(color), 5)


def _tank(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    outline = [(0.03, 0.2), (0.03, 0.9), (0.97, 0.9), (0.97, 0.2)]
    _vessel(draw, outline, accent, state, color)


def _lamp(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    s, line = _SIDE, edge(color)
    _glow(draw, 0.5 * s, 0.3 * s, state)
    draw.rectangle((0.47 * s, 0.4 * s, 0.53 * s, 0.9 * s), shade(color, 0.7), line, 2)
    draw.ellipse((0.28 * s, 0.86 * s, 0.72 * s, 0.98 * s), color, line, 5)
    draw.polygon(
        [(0.36 * s, 0.08 * s), (0.64 * s, 0.08 * s), (0.78 * s, 0.46 * s), (0.22 * s, 0.46 * s)],
        _bulb(color, state),
        line,
        6,
    )


def _lantern(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    s, line = _SIDE, edge(color)
    _glow(draw, 0.5 * s, 0.55 * s, state)
    draw.arc((0.34 * s, 0.02 * s, 0.66 * s, 0.34 * s), 180, 360, line, 9)
    draw.polygon(
        [(0.3 * s, 0.3 * s), (0.42 * s, 0.16 * s), (0.58 * s, 0.16 * s), (0.7 * s, 0.3 * s)],
        color,
        line,
        5,
    )
    draw.rectangle((0.3 * s, 0.3 * s, 0.7 * s, 0.84 * s), _bulb(_DARK, state), line, 9)
    draw.line((0.5 * s, 0.3 * s, 0.5 * s, 0.84 * s), line, 6)
    draw.rectangle((0.24 * s, 0.84 * s, 0.76 * s, 0.95 * s), color, line, 5)


def _street_lamp(draw: "ImageDraw", color: RGB, accent: RGB, state: float) -> None:
    s, line = _SIDE, edge(color)
    _glow(draw, 0.64 * s, 0.2 * s, state)
    draw.rectangle((0.3 * s, 0.1 * s, 0.37 * s, 0.96 * s), color, line, 4)
    draw.rectangle((0.3 * s, 0.08 * s, 0.7 * s, 0.14 * s), color, line, 4)
    draw.rectangle((0.22 * s, 0.93 * s, 0.45 * s, 0.99 * s), color, line, 4)
    draw.polygon(
        [(0.56 * s, 0.14 * s), (0.72 * s, 0.14 * s), (0.8 * s, 0.32 * s), (0.48 * s, 0.32 * s)],
        _bulb(_DARK, state),
        line,
        6,
    )


def _bulb(off: RGB, state: float) -> RGB:
    a, b, c = (round(o + (lit - o) * state) for o, lit in zip(shade(off, 0.7), _LIT, strict=True))
    return a, b, c


def _glow(draw: "ImageDraw", x: float, y: float, state: float) -> None:
    if state < 0.02:
        return
    for number in range(6, 0, -1):
        radius = number * 0.058 * _SIDE
        alpha = int(state * (28 + 26 * (6 - number)))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*_LIT, min(alpha, 255)))


_PAINTERS: dict[str, Callable[["ImageDraw", RGB, RGB, float], None]] = {
    "box": _box,
    "door": _door,
    "book": _book,
    "drinking glass": _drinking_glass,
    "jar": _jar,
    "bottle": _bottle,
    "tank": _tank,
    "lamp": _lamp,
    "lantern": _lantern,
    "street lamp": _street_lamp,
}
