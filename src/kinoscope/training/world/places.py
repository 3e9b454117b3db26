"""Backgrounds: painted landscapes by day, at sunset and at night, plain colors and patterns."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.training.world.drawing import PALETTE, RGB, shade
from kinoscope.training.world.scene import Background
from kinoscope.types import UInt8

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw as Brush

_SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((92, 160, 232), (206, 230, 248)),
    "sunset": ((86, 62, 132), (250, 150, 72)),
    "night": ((8, 12, 34), (34, 44, 84)),
}
_LIGHT = {"day": (1.0, 1.0, 1.0), "sunset": (0.92, 0.68, 0.58), "night": (0.30, 0.33, 0.48)}
_HORIZON = 0.5


class _Canvas:
    """A picture being painted, with the chances of its look."""

    def __init__(self, size: tuple[int, int], background: Background) -> None:
        from PIL import Image, ImageDraw

        seed = [background.look, *background.name.encode()]
        self.rng = np.random.default_rng(seed)
        self.w, self.h = size
        self.time = background.time or "day"
        self.image: Picture = Image.new("RGB", size)
        self.draw: Brush = ImageDraw.Draw(self.image, "RGBA")

    def tone(self, color: RGB) -> RGB:
        """A color in the light of the time of day, a little different in each look."""
        light = _LIGHT[self.time]
        wander = self.rng.uniform(0.92, 1.08)
        r, g, b = (int(min(255, c * k * wander)) for c, k in zip(color, light, strict=True))
        return r, g, b

    def gradient(self, top: float, bottom: float, first: RGB, second: RGB) -> None:
        """Bands of color between two heights, in fractions of the picture."""
        y0, y1 = round(top * self.h), round(bottom * self.h)
        for y in range(y0, y1):
            share = (y - y0) / max(1, y1 - y0 - 1)
            color = tuple(int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
            self.draw.line((0, y, self.w, y), color)

    def sky(self, bottom: float = _HORIZON + 0.06) -> None:
        """Sky with the sun, the setting sun, or moon and stars; clouds by day."""
        first, second = _SKY[self.time]
        self.gradient(0, bottom, first, second)
        x = self.rng.uniform(0.12, 0.88) * self.w
        if self.time == "day":
            for _ in range(int(self.rng.integers(2, 5))):
                self.cloud((255, 255, 255, 210))
        if self.time == "sunset":
            r = 0.1 * self.h
            y = (bottom - 0.04) * self.h
            self.draw.ellipse(
                (x - 1.6 * r, y - 1.6 * r, x + 1.6 * r, y + 1.6 * r), (255, 200, 110, 90)
            )
            self.draw.ellipse((x - r, y - r, x + r, y + r), (255, 214, 120))
        if self.time == "night":
            self.stars(60, bottom)
            r = 0.055 * self.h
            y = self.rng.uniform(0.1, 0.22) * self.h
            self.draw.ellipse((x - r, y - r, x + r, y + r), (244, 240, 214))

    def stars(self, count: int, bottom: float) -> None:
        """White points above a height."""
        for _ in range(count):
            x, y = self.rng.uniform(0, self.w), self.rng.uniform(0, bottom * self.h)
            size = self.rng.uniform(0.5, 1.6)
            self.draw.ellipse((x - size, y - size, x + size, y + size), (255, 255, 240))

    def cloud(self, color: tuple[int, int, int, int], bottom: float = 0.3) -> None:
        """A heap of ellipses."""
        x, y = self.rng.uniform(0, self.w), self.rng.uniform(0.06, bottom) * self.h
        unit = self.rng.uniform(0.04, 0.08) * self.w
        for dx, dy, size in ((-1.2, 0.2, 0.8), (0, 0, 1.1), (1.2, 0.2, 0.8), (0.4, 0.4, 1.0)):
            cx, cy = x + dx * unit, y + dy * unit
            self.draw.ellipse(
                (
                    cx - size * unit,
                    cy - 0.55 * size * unit,
                    cx + size * unit,
                    cy + 0.55 * size * unit,
                ),
                color,
            )

    def ground(self, color: RGB, top: float = _HORIZON) -> None:
        """Ground of a color from a height down, darker in the distance, with speckles."""
        tone = self.tone(color)
        self.gradient(top, 1.0, shade(tone, 0.82), tone)
        for _ in range(220):
            x, y = self.rng.uniform(0, self.w), self.rng.uniform(top, 1) * self.h
            spot = shade(tone, float(self.rng.uniform(0.86, 1.1)))
            size = 1 + 2.5 * (y / self.h - top)
            self.draw.ellipse((x - 2 * size, y - size / 2, x + 2 * size, y + size / 2), spot)

    def hills(self, base: float, height: float, color: RGB, *, sharp: bool = False) -> None:
        """A ridge across the picture."""
        count = 5 if sharp else 4
        xs = np.sort(self.rng.uniform(-0.1, 1.1, count)) * self.w
        points: list[tuple[float, float]] = [(0, base * self.h)]
        if sharp:
            for x in xs:
                top = base - height * self.rng.uniform(0.55, 1.0)
                half = 0.22 * self.w
                self.draw.polygon(
                    [(x - half, base * self.h), (x, top * self.h), (x + half, base * self.h)], color
                )
                snow = 0.28 * (base - top)
                cut = half * 0.28
                self.draw.polygon(
                    [
                        (x - cut, (top + snow) * self.h),
                        (x, top * self.h),
                        (x + cut, (top + snow) * self.h),
                    ],
                    self.tone((244, 246, 250)),
                )
            return
        phase, waves = self.rng.uniform(0, 6.28), self.rng.uniform(1.2, 2.2)
        for x in range(0, self.w + 8, 8):
            swing = 0.5 + 0.5 * math.sin(phase + waves * 6.28 * x / self.w)
            points.append((x, (base - height * swing) * self.h))
        points.append((self.w, base * self.h))
        self.draw.polygon(points, color)


def _beach(c: _Canvas) -> None:
    c.sky(0.4)
    sea = c.tone((36, 128, 186))
    c.gradient(0.4, 0.6, shade(sea, 0.85), sea)
    c.ground((236, 208, 148), 0.6)
    for number in range(3):
        y = (0.57 + 0.015 * number) * c.h
        points = [(x, y + 2.5 * math.sin(x / 17 + number)) for x in range(0, c.w + 6, 6)]
        c.draw.line(points, c.tone((245, 250, 252)), 3)
    if c.rng.uniform() < 0.6:
        _palm(c, c.rng.choice([0.05, 0.95]) * c.w)


def _palm(c: _Canvas, x: float) -> None:
    top = 0.3 * c.h
    c.draw.line((x, 0.66 * c.h, x + 6, top), c.tone((120, 84, 44)), 7)
    for angle in (-2.7, -2.1, -1.4, -0.9, -0.3, 0.2, 3.0):
        end = (x + 0.15 * c.w * math.cos(angle), top + 0.12 * c.h * math.sin(angle) + 6)
        c.draw.line((x + 6, top, *end), c.tone((44, 130, 52)), 6)


def _desert(c: _Canvas) -> None:
    c.sky()
    c.hills(0.54, 0.1, c.tone((214, 160, 92)))
    c.ground((226, 176, 104), 0.53)
    for number in range(4):
        y = (0.62 + 0.1 * number) * c.h
        points = [(x, y + 5 * math.sin(x / 38 + 2 * number)) for x in range(0, c.w + 6, 6)]
        c.draw.line(points, c.tone((200, 148, 84)), 3)


def _meadow(c: _Canvas) -> None:
    c.sky()
    c.hills(0.52, 0.1, c.tone((84, 150, 70)))
    c.ground((98, 176, 66), 0.51)
    for _ in range(70):
        x, y = c.rng.uniform(0, c.w), c.rng.uniform(0.56, 1) * c.h
        flower = [(250, 240, 90), (250, 250, 250), (236, 110, 130)][int(c.rng.integers(3))]
        c.draw.ellipse((x - 2, y - 2, x + 2, y + 2), c.tone(flower))


def _forest(c: _Canvas) -> None:
    c.sky(0.62)
    c.ground((74, 106, 48), 0.62)
    for row, size in ((0.6, 0.2), (0.68, 0.28)):
        for number in range(9):
            x = (number + c.rng.uniform(-0.3, 0.3)) / 8 * c.w
            half, top = size * 0.42 * c.w, (row - size * c.rng.uniform(1.5, 2.1)) * c.h
            c.draw.rectangle((x - 3, row * c.h - 10, x + 3, row * c.h + 12), c.tone((92, 62, 36)))
            green = c.tone((34, 94, 50) if row < 0.65 else (44, 118, 58))
            c.draw.polygon([(x - half, row * c.h), (x, top), (x + half, row * c.h)], green)


def _sea(c: _Canvas) -> None:
    c.sky(0.44)
    blue = c.tone((30, 104, 168))
    c.gradient(0.42, 1.0, shade(blue, 0.8), blue)
    for _ in range(90):
        y = c.rng.uniform(0.45, 1.0)
        x, length = c.rng.uniform(0, c.w), 10 + 34 * (y - 0.4)
        c.draw.arc((x, y * c.h, x + length, y * c.h + 7), 200, 340, c.tone((150, 200, 228)), 2)


def _snowfield(c: _Canvas) -> None:
    c.sky()
    c.hills(0.53, 0.09, c.tone((206, 218, 232)))
    c.ground((240, 244, 250), 0.52)
    for _ in range(90):
        x, y = c.rng.uniform(0, c.w), c.rng.uniform(0, c.h)
        c.draw.ellipse((x - 2, y - 2, x + 2, y + 2), (255, 255, 255, 220))


def _mountains(c: _Canvas) -> None:
    c.sky(0.62)
    c.hills(0.62, 0.46, c.tone((112, 116, 132)), sharp=True)
    c.ground((96, 132, 74), 0.61)


def _city(c: _Canvas) -> None:
    c.sky(0.7)
    x = -4.0
    while x < c.w:
        width, top = c.rng.uniform(0.1, 0.18) * c.w, c.rng.uniform(0.14, 0.46) * c.h
        gray = int(c.rng.integers(90, 170))
        c.draw.rectangle((x, top, x + width, 0.74 * c.h), c.tone((gray, gray - 8, gray - 4)))
        for wy in range(int(top) + 8, int(0.7 * c.h), 15):
            for wx in range(int(x) + 6, int(x + width) - 6, 12):
                lit = c.time != "day" and c.rng.uniform() < 0.55
                glass = (255, 226, 130) if lit else c.tone((70, 96, 124))
                c.draw.rectangle((wx, wy, wx + 5, wy + 8), glass)
        x += width + 3
    c.ground((112, 112, 116), 0.74)
    c.draw.rectangle((0, 0.74 * c.h, c.w, 0.78 * c.h), c.tone((176, 172, 166)))


def _road(c: _Canvas) -> None:
    c.sky()
    c.ground((108, 158, 78))
    middle, top = 0.5 * c.w, _HORIZON * c.h
    c.draw.polygon(
        [(middle - 8, top), (middle + 8, top), (1.0 * c.w, c.h), (0, c.h)], c.tone((84, 84, 90))
    )
    for near, far in ((1.0, 0.86), (0.78, 0.69), (0.64, 0.58), (0.555, 0.53)):
        a, b = 0.02 * c.w * (near - 0.5) * 2, 0.02 * c.w * (far - 0.5) * 2
        c.draw.polygon(
            [
                (middle - a, near * c.h),
                (middle + a, near * c.h),
                (middle + b, far * c.h),
                (middle - b, far * c.h),
            ],
            c.tone((244, 240, 220)),
        )


def _room(c: _Canvas) -> None:
    wall = [(226, 206, 176), (190, 208, 214), (212, 196, 214), (206, 214, 184)]
    tone = c.tone(wall[int(c.rng.integers(len(wall)))])
    c.gradient(0, 0.7, shade(tone, 1.1), tone)
    floor = c.tone((150, 104, 66))
    c.gradient(0.7, 1.0, shade(floor, 0.8), floor)
    for number in range(-6, 18):
        x = number * c.w / 12
        c.draw.line((c.w / 2 + (x - c.w / 2) * 0.6, 0.7 * c.h, x, c.h), shade(floor, 0.72), 2)
    c.draw.rectangle((0, 0.67 * c.h, c.w, 0.7 * c.h), (244, 242, 238))
    x = c.rng.uniform(0.08, 0.62) * c.w
    c.draw.rectangle(
        (x, 0.12 * c.h, x + 0.28 * c.w, 0.46 * c.h), (186, 220, 244), (250, 250, 250), 6
    )
    c.draw.line((x + 0.14 * c.w, 0.12 * c.h, x + 0.14 * c.w, 0.46 * c.h), (250, 250, 250), 5)
    c.draw.line((x, 0.29 * c.h, x + 0.28 * c.w, 0.29 * c.h), (250, 250, 250), 5)


def _open_sky(c: _Canvas) -> None:
    c.gradient(0, 1.0, (70, 140, 226), (190, 222, 248))
    for _ in range(9):
        c.cloud((255, 255, 255, 225), 0.96)


def _space(c: _Canvas) -> None:
    c.gradient(0, 1.0, (4, 4, 16), (18, 10, 36))
    c.stars(170, 1.0)
    x, y = c.rng.uniform(0.1, 0.9) * c.w, c.rng.choice([0.06, 0.94]) * c.h
    for number in range(5):
        r = (0.3 - 0.045 * number) * c.w
        c.draw.ellipse((x - r, y - 0.5 * r, x + r, y + 0.5 * r), (92, 50, 130, 26))


def _underwater(c: _Canvas) -> None:
    c.gradient(0, 1.0, (40, 168, 196), (4, 50, 96))
    for number in range(5):
        x = (number + c.rng.uniform(0, 0.8)) / 5 * c.w
        c.draw.polygon([(x, 0), (x + 18, 0), (x + 58, c.h), (x + 6, c.h)], (220, 250, 255, 22))
    for _ in range(26):
        x, y, r = c.rng.uniform(0, c.w), c.rng.uniform(0, 0.9) * c.h, c.rng.uniform(2, 5)
        c.draw.ellipse((x - r, y - r, x + r, y + r), None, (210, 244, 252, 170), 1)
    for _ in range(9):
        x = c.rng.uniform(0, c.w)
        points = [(x + 6 * math.sin(k), c.h - k * 0.035 * c.h) for k in range(6)]
        c.draw.line(points, (26, 112, 82), 6)


_PAINTERS: dict[str, Callable[[_Canvas], None]] = {
    "beach": _beach,
    "desert": _desert,
    "meadow": _meadow,
    "forest": _forest,
    "sea": _sea,
    "snowfield": _snowfield,
    "mountains": _mountains,
    "city": _city,
    "road": _road,
    "room": _room,
    "sky": _open_sky,
    "space": _space,
    "underwater": _underwater,
}


def paint(background: Background, size: tuple[int, int]) -> "Picture":
    """The picture behind a shot, (width, height) px; the same for the same look."""
    canvas = _Canvas(size, background)
    if background.kind == "place":
        _PAINTERS[background.name](canvas)
    elif background.kind == "pattern":
        _pattern(canvas, background)
    else:
        _plain(canvas, background)
    return canvas.image


def _tint(canvas: _Canvas, name: str) -> RGB:
    """A tone of a color, a little different in each look."""
    color = PALETTE[name]
    if name in ("black", "white", "gray"):
        return shade(color, float(canvas.rng.uniform(0.9, 1.06)))
    return shade(color, float(canvas.rng.uniform(1.0, 1.16)))


def _plain(canvas: _Canvas, background: Background) -> None:
    first = _tint(canvas, background.colors[0])
    second = _tint(canvas, background.colors[-1]) if len(background.colors) > 1 else first
    canvas.gradient(0, 1.0, first, second)


def _pattern(canvas: _Canvas, background: Background) -> None:
    if background.name in ("bricks", "wood"):
        _wall(canvas, background.name)
        return
    color = _tint(canvas, background.colors[0])
    other = shade(color, 0.72) if sum(color) > 200 else shade(color, 1.3)
    canvas.draw.rectangle((0, 0, canvas.w, canvas.h), color)
    step = int(canvas.rng.integers(18, 34))
    for row in range(-1, canvas.h // step + 2):
        if background.name == "stripes":
            canvas.draw.rectangle((0, 2 * row * step, canvas.w, 2 * row * step + step - 1), other)
            continue
        for column in range(-1, canvas.w // step + 2):
            x, y = column * step, row * step
            if background.name == "checks" and (row + column) % 2:
                canvas.draw.rectangle((x, y, x + step - 1, y + step - 1), other)
            if background.name == "dots":
                x += (row % 2) * step // 2
                canvas.draw.ellipse((x, y, x + step // 2, y + step // 2), other)


def _wall(canvas: _Canvas, name: str) -> None:
    base = (168, 84, 62) if name == "bricks" else (156, 110, 66)
    canvas.draw.rectangle((0, 0, canvas.w, canvas.h), shade(base, 0.6))
    height, width = (20, 44) if name == "bricks" else (canvas.h, 34)
    for row in range(canvas.h // height + 1):
        for column in range(-1, canvas.w // width + 2):
            x = column * width + (row % 2) * width // 2
            tone = shade(base, float(canvas.rng.uniform(0.82, 1.08)))
            canvas.draw.rectangle((x, row * height, x + width - 3, (row + 1) * height - 3), tone)


def as_array(image: "Picture") -> UInt8:
    """RGB [H, W, C] of a picture."""
    return np.asarray(image)
