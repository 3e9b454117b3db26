"""A contact sheet: a row of frames for each video, its caption above."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinoscope.training.world.captions import caption
from kinoscope.training.world.render import frame_times, render
from kinoscope.training.world.scene import Scene

if TYPE_CHECKING:
    from PIL.Image import Image

_FRAMES = 8
_SIDE_PX = 160
_LINE_PX = 13
_LINE_LETTERS = 200


def contact_sheet(scenes: Sequence[Scene]) -> "Image":
    """One picture of all scenes."""
    from PIL import Image, ImageDraw

    told = [
        textwrap.wrap(f"{scene.split} {scene.seed}: {caption(scene)}", _LINE_LETTERS)
        for scene in scenes
    ]
    height = sum(_SIDE_PX + _LINE_PX * len(lines) + 6 for lines in told)
    sheet = Image.new("RGB", (_FRAMES * _SIDE_PX, height), "white")
    draw = ImageDraw.Draw(sheet)
    y = 0
    for scene, lines in zip(scenes, told, strict=True):
        for line in lines:
            draw.text((3, y), line, fill="black")
            y += _LINE_PX
        times_F = frame_times(scene.duration_s, _FRAMES / scene.duration_s)
        for number, rgb_HWC in enumerate(render(scene, times_F).rgb_FHWC):
            picture = Image.fromarray(rgb_HWC).resize((_SIDE_PX - 2, _SIDE_PX - 2))
            sheet.paste(picture, (number * _SIDE_PX, y))
        y += _SIDE_PX + 6
    return sheet
