"""Pictures of answers: a video's curve over a strip of its frames, and a sheet of the best hits."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.clock import clock
from kinoscope.errors import MediaError, UsageError
from kinoscope.moments import Located
from kinoscope.types import Float64, Hit, Span, UInt8
from kinoscope.video import VideoReader

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

WIDTH, CURVE_HEIGHT, FRAMES = 960, 200, 8
"""Pixels of the strip's picture, and frames on it."""
THUMB, COLUMNS, CAPTION = (240, 160), 4, 34
"""Pixels of a hit on a sheet, hits in a row, pixels of the words below."""

_INK, _PAPER, _LINE, _FOUND = (30, 30, 30), (255, 255, 255), (40, 90, 200), (255, 214, 140)
_MAX_PIXELS = 480 * 320


def check_picture_name(path: Path) -> None:
    """Raises `UsageError` for a name under which no PNG can be written."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: pictures are written as PNG, name it {path.stem or 'out'}.png")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: the folder {path.absolute().parent} does not exist")


def draw_moments(video: Path, located: Located, title: str, to: Path) -> None:
    """Writes a PNG: frames of the video, below them its curve and the moments found.

    Raises `UsageError` for a name that is no PNG's, `MediaError` for a video without frames.
    """
    check_picture_name(to)
    edges_s = located.curve.edges_s
    times_F = edges_s[0] + (np.arange(FRAMES) + 0.5) / FRAMES * (edges_s[-1] - edges_s[0])
    width, height = WIDTH // FRAMES, THUMB[1] // 2
    canvas, draw = _canvas(WIDTH, CAPTION + height + CURVE_HEIGHT)
    _write(draw, (6, 8), title, WIDTH - 12)
    for place, rgb_HWC in enumerate(frames_at(video, times_F)):
        canvas.paste(_fitted(rgb_HWC, width, height), (place * width, CAPTION))
    _draw_curve(draw, located, CAPTION + height)
    canvas.save(to, format="PNG")


def draw_hits(hits: Sequence[Hit], to: Path) -> None:
    """Writes a PNG: of each hit the frame in its middle, with rank, score, time and name.

    A video that cannot be read has its reason in place of a frame. Raises `UsageError` for a name
    that is no PNG's, or for no hits.
    """
    check_picture_name(to)
    if not hits:
        raise UsageError("nothing matches, so there is no sheet to draw")
    (width, height), rows = THUMB, -(-len(hits) // COLUMNS)
    canvas, draw = _canvas(min(COLUMNS, len(hits)) * width, rows * (height + CAPTION))
    for place, hit in enumerate(hits):
        left, top = place % COLUMNS * width, place // COLUMNS * (height + CAPTION)
        middle_s = (hit.span.start_s + hit.span.end_s) / 2
        try:
            (rgb_HWC,) = frames_at(hit.path, np.array([middle_s]))
            canvas.paste(_fitted(rgb_HWC, width, height), (left, top))
        except MediaError as error:
            _write(draw, (left + 4, top + 4), str(error), width - 8)
        told = f"{hit.rank}  {hit.score:+.3f}  {_range(hit.span)}"
        _write(draw, (left + 4, top + height + 2), told, width - 8)
        _write(draw, (left + 4, top + height + 17), hit.path.name, width - 8)
    canvas.save(to, format="PNG")


def frames_at(video: Path, times_s: Float64) -> list[UInt8]:
    """RGB pictures [H, W, 3] on screen at ascending instants; behind the end the one before.

    Raises `MediaError` for a file without frames.
    """
    with VideoReader(video, side_px=None, max_pixels=_MAX_PIXELS) as reader:
        shown = [frames for frames in reader.sample(times_s.tolist())]
    starts_F = np.concatenate([frames.times_F for frames in shown])
    pictures = [rgb_HWC for frames in shown for rgb_HWC in frames.rgb_FHWC]
    places = np.maximum(0, starts_F.searchsorted(times_s, side="right") - 1)
    return [pictures[int(place)] for place in places]


def _draw_curve(draw: "ImageDraw.ImageDraw", located: Located, top: int) -> None:
    curve, bottom = located.curve, top + CURVE_HEIGHT
    low, high = float(curve.scores_C.min()), float(curve.scores_C.max())
    begin_s, length_s = float(curve.edges_s[0]), float(curve.edges_s[-1] - curve.edges_s[0])
    room = CURVE_HEIGHT - 2 * CAPTION

    def across(time_s: float) -> float:
        return (time_s - begin_s) / length_s * (WIDTH - 1)

    def down(score: float) -> float:
        return bottom - CAPTION - (score - low) / max(high - low, 1e-6) * room

    for moment in located.moments:
        left, right = across(moment.span.start_s), across(moment.span.end_s)
        draw.rectangle((left, top, right, bottom), fill=_FOUND, outline=_INK)
    for moment in located.moments:
        left, right = across(moment.span.start_s), across(moment.span.end_s)
        told = f"{moment.rank}  {_range(moment.span)}"
        _write(draw, (int(left) + 4, top + 4), told, int(right - left) - 8)
    steps = zip(curve.edges_s[:-1], curve.edges_s[1:], curve.scores_C, strict=True)
    line = [(across(t), down(score)) for start, end, score in steps for t in (start, end)]
    draw.line(line, fill=_LINE, width=2)
    _write(draw, (4, bottom - 18), f"cosine {low:.3f} to {high:.3f}", WIDTH - 8)


def _canvas(width: int, height: int) -> "tuple[Image.Image, ImageDraw.ImageDraw]":
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), _PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _fitted(rgb_HWC: UInt8, width: int, height: int) -> "Image.Image":
    """The whole picture in a box, on paper, its shape kept."""
    from PIL import Image, ImageOps

    return ImageOps.pad(Image.fromarray(rgb_HWC), (width, height), color=_PAPER)


def _write(draw: "ImageDraw.ImageDraw", at: tuple[int, int], text: str, width: int) -> None:
    """One line, cut off where its room ends; what is no character of the font is a `?`."""
    from PIL import ImageFont

    font = ImageFont.load_default(12)
    line = text.encode("ascii", "replace").decode().replace("\n", " ")
    while line and draw.textlength(line, font=font) > width:
        line = line[:-1]
    draw.text(at, line, fill=_INK, font=font)


def _range(span: Span) -> str:
    return f"{clock(span.start_s)}-{clock(span.end_s)}"
