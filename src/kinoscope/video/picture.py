"""A picture file as one frame, scaled as the frames of a video are."""

import warnings
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError
from kinoscope.types import Frames
from kinoscope.video.display import fitted
from kinoscope.video.opening import DecodeLimits, check_size, open_file

PICTURE_SUFFIXES = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_DEFAULT_LIMITS = DecodeLimits()


def is_picture_name(name: str) -> bool:
    """Whether a file name looks like a picture: by suffix, in capitals or not."""
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


def read_picture(
    path: Path,
    side_px: int | None = 260,
    max_pixels: int | None = None,
    limits: DecodeLimits = _DEFAULT_LIMITS,
) -> Frames:
    """The picture, upright, in RGB, as one frame at 0 s; of an animation the first frame.

    Sizes are those of `VideoReader`. Raises `MediaError` for a file that is none, or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    file, _ = open_file(path)
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's of large pictures: `check_size` decides
        try:
            with Image.open(file, formats=_FORMATS) as image:
                check_size(path, image.width, image.height, limits)
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise MediaError("not_media", f"{path} is not a picture that can be read") from error
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow says of damaged files
            raise MediaError("no_frames", f"{path} is damaged ({error}): re-encode it") from error
    size = (side_px, side_px) if side_px is not None else fitted(upright.size, max_pixels)
    scaled = upright.resize(size, Image.Resampling.BICUBIC)
    return Frames(np.asarray(scaled)[None].copy(), np.zeros(1))
