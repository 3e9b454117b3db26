"""What a decoding process says, read with care: a hostile film may speak through it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np

from kinoscope.errors import MediaFault
from kinoscope.types import Frames
from kinoscope.video import DecodeReport, VideoInfo

_MAX_HEADER_BYTES = 2**20
_MAX_FRAMES_BYTES = 2**30

Message = tuple[dict[str, Any], Frames | None]


def read_message(stream: IO[bytes]) -> Message | None:
    """None at the end of the stream, also in the middle of a message, and for nonsense."""
    try:
        header = json.loads(stream.readline(_MAX_HEADER_BYTES))
        if header["kind"] == "frames":
            return header, _frames(stream, header["shape"])
        _CHECKS[header["kind"]](header)
    except (ValueError, KeyError, TypeError, EOFError, RecursionError, OverflowError):
        return None
    return header, None


def _frames(stream: IO[bytes], said: object) -> Frames:
    if not isinstance(said, list) or len(said) != 4:
        raise ValueError("no shape")
    shape = tuple(map(_count, said))
    if math.prod(shape) > _MAX_FRAMES_BYTES or shape[0] > _MAX_FRAMES_BYTES // 8:
        raise ValueError("more than anybody sends")
    times_F, rgb_FHWC = np.empty(shape[0], np.float64), np.empty(shape, np.uint8)
    for array in (times_F, rgb_FHWC):
        _fill(stream, array.data.cast("B"))
    return Frames(rgb_FHWC, times_F)


def _fill(stream: IO[bytes], buffer: memoryview) -> None:
    while buffer:
        count = stream.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        buffer = buffer[count:]


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


# --- each kind of message has these values, or it is nonsense


def _ready(_header: Mapping[str, Any]) -> None:
    """Says nothing more."""


def _dying(header: Mapping[str, Any]) -> None:
    _require(header["reason"], str)


def _opened(header: Mapping[str, Any]) -> None:
    _require_fields(VideoInfo, {**header["info"], "path": Path()})


def _finished(header: Mapping[str, Any]) -> None:
    _require_fields(DecodeReport, header["report"])
    _require(header["cpu_s"], float)


def _failed(header: Mapping[str, Any]) -> None:
    if header["fault"] not in get_args(MediaFault):
        raise ValueError("an unknown fault")
    _require(header["message"], str)
    _require(header["cpu_s"], float)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "ready": _ready,
    "dying": _dying,
    "opened": _opened,
    "finished": _finished,
    "failed": _failed,
}


def _require_fields(kind: type[VideoInfo] | type[DecodeReport], values: Mapping[str, Any]) -> None:
    """All fields and no others, each of its type."""
    if set(values) != {field.name for field in fields(kind)}:
        raise ValueError("other fields")
    for field in fields(kind):
        _require(values[field.name], field.type)


def _require(value: object, kind: Any) -> None:
    """A whole number serves as a float; numbers are finite and not negative."""
    if isinstance(value, int) and not isinstance(value, bool) and kind in (float, float | None):
        value = float(value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind}")
    if isinstance(value, int | float) and not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is out of range")
