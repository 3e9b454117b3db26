"""The renderer: (scene, times) -> frames, the same bytes in every process."""

import io
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.training.world import assets, drawing, props
from kinoscope.training.world.layout import grid
from kinoscope.training.world.motion import brightness_at, pose_at, view_at
from kinoscope.training.world.places import paint
from kinoscope.training.world.scene import Background, Pose, Scene, Shot, Thing
from kinoscope.types import Float64, Frames, UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PX = 260
_MARGIN = 0.16  # of the background on each side, for a camera that moves
_STEPS = 32  # of a prop's state
_CLOTH = 1.2  # its side in sides of the thing
_ARM = 0.17  # width of the arm in fractions of the frame's shorter side
_NOISES = 16
_EXACT_S = 1e-9


def frame_times(duration_s: float, fps: float) -> Float64:
    """Times in the middle of each frame, so that they are symmetric in the video [F]."""
    count = max(1, round(duration_s * fps))
    return (np.arange(count, dtype=np.float64) + 0.5) * (duration_s / count)


def render(
    scene: Scene, times_s: Sequence[float] | Float64, size: tuple[int, int] = (SIDE_PX, SIDE_PX)
) -> Frames:
    """Frames of the scene at ascending times, (width, height) px.

    Raises `UsageError` for times outside the video, `SetupError` without the sprites it needs.
    """
    times_F = np.asarray(times_s, np.float64)
    if not len(times_F) or times_F.min() < 0 or times_F.max() > scene.duration_s:
        raise UsageError(f"times must lie in 0..{scene.duration_s} s, and be at least one")
    if not all(16 <= side <= 4096 for side in size):
        raise UsageError(f"frames of {size[0]}x{size[1]} px: choose sides of 16 to 4096")
    return Frames(np.stack([_frame(scene, float(t), size) for t in times_F]), times_F)


def _frame(scene: Scene, t_s: float, size: tuple[int, int]) -> UInt8:
    shot = _shot_at(scene, t_s)
    view = _same_backwards(view_at(shot, t_s))
    image = _backdrop(shot.background, view, size)
    for number, actor in enumerate(shot.actors):
        pose = Pose(*_same_backwards(vars(pose_at(shot, number, t_s)).values()))
        _draw_actor(image, actor.thing, pose, view)
    (brightness,) = _same_backwards([brightness_at(shot, t_s)])
    if brightness < 1:
        image = image.point([int(value * brightness) for value in range(256)] * 3)
    if scene.quality is not None:
        image = _compressed(image, scene.quality)
    rgb_HWC = np.asarray(image)
    return _noisy(rgb_HWC, scene, t_s) if scene.noise else rgb_HWC


def _shot_at(scene: Scene, t_s: float) -> Shot:
    """The shot of a time; on a cut the same one of the two whichever way the video runs."""
    shots = [s for s in scene.shots if s.start_s - _EXACT_S <= t_s <= s.end_s + _EXACT_S]
    return min(shots, key=lambda shot: repr(shot.background))


def _same_backwards(values: Iterable[float]) -> list[float]:
    """Without the last digits, in which a time and its mirror image disagree."""
    return [round(float(value), 9) for value in values]


def _backdrop(background: Background, view: Sequence[float], size: tuple[int, int]) -> "Image":
    from PIL import Image

    x, y, zoom = view
    width, height = size
    whole = _painted(background, size)
    left = (_MARGIN + x - 0.5 / zoom) * width
    top = (_MARGIN + y - 0.5 / zoom) * height
    if zoom == 1:
        corner = round(left), round(top)
        return whole.crop((*corner, corner[0] + width, corner[1] + height))
    box = (left, top, left + width / zoom, top + height / zoom)
    return whole.resize(size, Image.Resampling.BILINEAR, box=box)


@lru_cache(maxsize=64)
def _painted(background: Background, size: tuple[int, int]) -> "Image":
    wide = tuple(math.ceil(side * (1 + 2 * _MARGIN)) for side in size)
    return paint(background, wide)  # type: ignore[arg-type]


def _draw_actor(image: "Image", thing: Thing, pose: Pose, view: Sequence[float]) -> None:
    if pose.alpha <= 0 and not pose.hand:
        return
    width, height = image.size
    zoom = view[2]
    side = min(width, height) * zoom
    x = ((pose.x - view[0]) * zoom + 0.5) * width
    y = ((pose.y - view[1]) * zoom + 0.5) * height
    px = max(2, round(pose.scale * side))
    state = round(pose.state * _STEPS) / _STEPS if thing.kind == "prop" else 0.0
    picture = _picture(thing, px, round(pose.angle), state)
    _paste(image, picture, x, y, pose.alpha)
    if thing.kind != "prop" and pose.state > 0:
        _draw_cloth(image, thing, pose, (x, y, px))
    if pose.hand > 0:
        _draw_hand(image, pose, (x, y, px), side)


def _paste(image: "Image", picture: "Image", x: float, y: float, alpha: float) -> None:
    corner = round(x - picture.width / 2), round(y - picture.height / 2)
    if alpha >= 1:
        image.paste(picture, corner, picture)
    else:
        mask = picture.getchannel("A").point([int(value * alpha) for value in range(256)])
        image.paste(picture, corner, mask)


def _draw_cloth(image: "Image", thing: Thing, pose: Pose, where: tuple[float, float, int]) -> None:
    """Comes down from above the frame until it hangs before the thing."""
    x, y, px = where
    columns, rows = grid(thing.count)
    width, height = round(px * _CLOTH * columns), round(px * _CLOTH * rows)
    outside = -height / 2 - 2
    _paste(image, _cloth(width, height, thing.accent), x, outside + (y - outside) * pose.state, 1)


def _draw_hand(image: "Image", pose: Pose, where: tuple[float, float, int], side: float) -> None:
    x, y, px = where
    width = max(6, round(_ARM * side))
    height = max(12, round(side))
    fingertips = y - 0.24 * px
    outside = -4.0
    y_tip = outside + (fingertips - outside) * pose.hand
    _paste(image, _hand(width, height), x, y_tip - height / 2, 1)


@lru_cache(maxsize=32)
def _hand(width: int, height: int) -> "Image":
    return drawing.hand(width, height)


@lru_cache(maxsize=256)
def _cloth(width: int, height: int, color: str) -> "Image":
    return drawing.cloth(width, height, color)


@lru_cache(maxsize=2048)
def _picture(thing: Thing, px: int, angle: int, state: float) -> "Image":
    """A thing, or its group, each `px` wide and high, turned clockwise by degrees."""
    from PIL import Image

    one = _original(thing, state)
    if angle:
        one = one.rotate(-angle, Image.Resampling.BILINEAR, expand=True)
        px = round(px * one.width / drawing.SIDE_PX)
    one = one.resize((px, px), Image.Resampling.BILINEAR)
    if thing.count == 1:
        return one
    columns, rows = grid(thing.count)
    group = Image.new("RGBA", (columns * px, rows * px))
    for number in range(thing.count):
        row, column = divmod(number, columns)
        missing = columns - min(columns, thing.count - row * columns)  # the last row is centred
        group.paste(one, (column * px + missing * px // 2, row * px))
    return group


@lru_cache(maxsize=512)
def _original(thing: Thing, state: float) -> "Image":
    if thing.kind == "sprite":
        return assets.load().picture(thing.look)
    assert thing.color is not None
    if thing.kind == "shape":
        return drawing.shape(thing.name, thing.color, thing.texture)
    return props.prop(thing.name, thing.color, thing.accent, state)


def _compressed(image: "Image", quality: int) -> "Image":
    from PIL import Image

    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    with Image.open(stream) as opened:
        return opened.convert("RGB")


def _noisy(rgb_HWC: UInt8, scene: Scene, t_s: float) -> UInt8:
    """Noise that depends on the distance from the middle of the video: the same backwards."""
    (from_middle_ms,) = _same_backwards([abs(t_s - scene.duration_s / 2) * 1000])
    number = round(from_middle_ms) % _NOISES
    height, width, _ = rgb_HWC.shape
    noise_HWC = _noise(number, (height, width), scene.noise)
    return np.asarray(np.clip(rgb_HWC + noise_HWC, 0, 255), np.uint8)


@lru_cache(maxsize=64)
def _noise(number: int, shape: tuple[int, int], deviation: float) -> np.ndarray:
    rng = np.random.default_rng([number, 77])
    return np.rint(rng.normal(0, deviation, (*shape, 3))).astype(np.int16)
