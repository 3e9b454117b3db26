"""Drawn things: shapes with textures, the hand and the cloth, as RGBA pictures."""

import math
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

RGB = tuple[int, int, int]
Point = tuple[float, float]

PALETTE: dict[str, RGB] = {
    "red": (214, 36, 36),
    "orange": (245, 138, 22),
    "yellow": (247, 214, 38),
    "green": (42, 160, 62),
    "blue": (38, 92, 214),
    "purple": (132, 52, 180),
    "pink": (246, 132, 184),
    "brown": (122, 74, 36),
    "black": (28, 28, 30),
    "white": (246, 246, 244),
    "gray": (138, 140, 144),
}
SIDE_PX = 192
_OVER = 2  # drawn at twice the size, then reduced, for smooth edges
_SKIN = (236, 188, 148)


def shade(color: RGB, factor: float) -> RGB:
    """A darker (below 1) or lighter (above 1) tone of a color."""
    if factor <= 1:
        return (int(color[0] * factor), int(color[1] * factor), int(color[2] * factor))
    light = factor - 1
    return (
        int(color[0] + (255 - color[0]) * light),
        int(color[1] + (255 - color[1]) * light),
        int(color[2] + (255 - color[2]) * light),
    )


def contrast(color: RGB) -> RGB:
    """A tone of stripes and dots that is seen on the color but leaves its name true."""
    bright = 0.3 * color[0] + 0.6 * color[1] + 0.1 * color[2]
    return shade(color, 0.45) if bright > 90 else shade(color, 1.62)


def edge(color: RGB) -> RGB:
    """The outline of a thing."""
    return shade(color, 0.5) if sum(color) > 180 else (110, 110, 116)


def shape(name: str, color: str, texture: str) -> "Image":
    """A shape that fills its square of 192 px, outlined."""
    from PIL import Image, ImageDraw

    side = SIDE_PX * _OVER
    mask = Image.new("L", (side, side))
    _paint_shape(ImageDraw.Draw(mask), name, side)
    rgb = PALETTE[color]
    filled = Image.new("RGB", (side, side), rgb)
    _paint_texture(ImageDraw.Draw(filled), texture, contrast(rgb), side)
    shrunk = _eroded(mask, round(side * 0.022))
    image = Image.new("RGBA", (side, side))
    image.paste(edge(rgb), (0, 0), mask)
    image.paste(filled, (0, 0), shrunk)
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)


def _eroded(mask: "Image", by_px: int) -> "Image":
    from PIL import ImageFilter

    for _ in range(by_px // 2):
        mask = mask.filter(ImageFilter.MinFilter(5))
    return mask


def _paint_shape(draw: object, name: str, side: int) -> None:
    from PIL import ImageDraw

    assert isinstance(draw, ImageDraw.ImageDraw)
    last = side - 1
    if name in ("circle", "ring", "crescent"):
        draw.ellipse((0, 0, last, last), fill=255)
        if name == "ring":
            draw.ellipse((0.3 * last, 0.3 * last, 0.7 * last, 0.7 * last), fill=0)
        if name == "crescent":
            draw.ellipse((0.34 * last, -0.03 * last, 1.26 * last, 0.89 * last), fill=0)
        return
    draw.polygon([(x * last, y * last) for x, y in _OUTLINES[name]], fill=255)


def _star() -> list[Point]:
    points = []
    for number in range(10):
        radius = 0.52 if number % 2 == 0 else 0.22
        angle = math.pi * (number / 5 - 0.5)
        points.append((0.5 + radius * math.cos(angle), 0.52 + radius * math.sin(angle)))
    return points


def _heart() -> list[Point]:
    points = []
    for number in range(60):
        a = 2 * math.pi * number / 60
        x = 16 * math.sin(a) ** 3
        y = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        points.append((0.5 + x / 33, 0.45 - y / 32))
    return points


_OUTLINES: dict[str, list[Point]] = {
    "square": [(0.03, 0.03), (0.97, 0.03), (0.97, 0.97), (0.03, 0.97)],
    "triangle": [(0.5, 0.04), (1.0, 0.96), (0.0, 0.96)],
    "diamond": [(0.5, 0.0), (0.86, 0.5), (0.5, 1.0), (0.14, 0.5)],
    "hexagon": [(0.25, 0.07), (0.75, 0.07), (1.0, 0.5), (0.75, 0.93), (0.25, 0.93), (0.0, 0.5)],
    "cross": [
        (0.34, 0.0),
        (0.66, 0.0),
        (0.66, 0.34),
        (1.0, 0.34),
        (1.0, 0.66),
        (0.66, 0.66),
        (0.66, 1.0),
        (0.34, 1.0),
        (0.34, 0.66),
        (0.0, 0.66),
        (0.0, 0.34),
        (0.34, 0.34),
    ],
    "arrow": [
        (0.0, 0.34),
        (0.52, 0.34),
        (0.52, 0.08),
        (1.0, 0.5),
        (0.52, 0.92),
        (0.52, 0.66),
        (0.0, 0.66),
    ],
    "star": _star(),
    "heart": _heart(),
}


def _paint_texture(draw: object, texture: str, color: RGB, side: int) -> None:
    from PIL import ImageDraw

    assert isinstance(draw, ImageDraw.ImageDraw)
    step = side / 6
    if texture == "striped":
        for number in range(-6, 7):
            x = number * 2 * step
            draw.polygon([(x, 0), (x + step, 0), (x + step + side, side), (x + side, side)], color)
    if texture == "dotted":
        r = step / 3.4
        for row, column in product(range(7), range(7)):
            x, y = (column + (row % 2) / 2) * step, row * step
            draw.ellipse((x - r, y - r, x + r, y + r), color)
    if texture == "checkered":
        for row, column in product(range(6), range(6)):
            if row % 2 == column % 2:
                x, y = column * step, row * step
                draw.rectangle((x, y, x + step, y + step), color)


def hand(width_px: int, height_px: int) -> "Image":
    """An arm that comes from above and ends in a hand, fingertips at the lower edge."""
    from PIL import Image, ImageDraw

    w, h = width_px * _OVER, height_px * _OVER
    image = Image.new("RGBA", (w, h))
    draw = ImageDraw.Draw(image)
    outline = shade(_SKIN, 0.55)
    palm_top = h - 1.15 * w
    draw.rectangle((0.3 * w, 0, 0.7 * w, palm_top + 0.2 * w), (58, 76, 132), outline=(30, 40, 80))
    draw.rectangle((0.26 * w, palm_top, 0.74 * w, palm_top + 0.16 * w), (230, 230, 235))
    for number in range(4):
        x = (0.14 + 0.19 * number) * w
        tip = h - (0.10, 0.0, 0.02, 0.14)[number] * w
        draw.rounded_rectangle(
            (x, h - 0.62 * w, x + 0.165 * w, tip - 1), 0.08 * w, _SKIN, outline, 2
        )
    draw.rounded_rectangle(
        (0.12 * w, palm_top + 0.12 * w, 0.9 * w, h - 0.4 * w), 0.2 * w, _SKIN, outline, 2
    )
    thumb = [
        (0.84 * w, h - 0.72 * w),
        (0.99 * w, h - 0.5 * w),
        (0.9 * w, h - 0.3 * w),
        (0.78 * w, h - 0.5 * w),
    ]
    draw.polygon(thumb, _SKIN, outline)
    return image.resize((width_px, height_px), Image.Resampling.BOX)


def cloth(width_px: int, height_px: int, color: str) -> "Image":
    """A hanging cloth with folds and a wavy hem."""
    from PIL import Image, ImageDraw

    w, h = width_px * _OVER, height_px * _OVER
    rgb = PALETTE[color]
    image = Image.new("RGBA", (w, h))
    draw = ImageDraw.Draw(image)
    hem = 0.06 * h
    waves = [(x, h - hem + hem * math.sin(x / w * 8 * math.pi) - 2) for x in range(0, w + 1, 4)]
    draw.polygon([(0, 0), *waves, (w, 0)], rgb, edge(rgb), 4)
    for number in range(1, 6):
        x = number * w / 6
        tone = shade(rgb, 0.8) if sum(rgb) > 180 else shade(rgb, 1.15)
        draw.line((x, 0.04 * h, x, h - 2 * hem), tone, max(2, w // 40))
    return image.resize((width_px, height_px), Image.Resampling.BOX)
