"""What a caller gives to be embedded, recognised and checked before any work begins."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.types import Frames, Kind, Role, Span

MAX_TEXT_BYTES = 65_536
"""Over ten thousand words; what is longer was not meant as a description."""

_PIECE = re.compile(r"(.+)@([0-9.:]+)-([0-9.:]+)", re.DOTALL)
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)")


@dataclass(frozen=True)
class Excerpt:
    """A piece of a video file: what is on screen in `span`."""

    path: Path
    span: Span

    def __str__(self) -> str:
        return f"{self.path}@{self.span.start_s:g}-{self.span.end_s:g}"


Source = str | Path | Frames | Excerpt
Document = str | Path | Frames | Excerpt | Mapping[str, str | Path | Frames | Excerpt]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One input: a text, a video or an image, or one of these with an edit as its text."""

    text: str | None = None
    video: Source | None = None
    image: Source | None = None

    @property
    def kind(self) -> Kind:
        """As `Content.kind`."""
        if self.video is None and self.image is None:
            return "text"
        if self.text is not None:
            return "composed"
        return "image" if self.image is not None else "video"

    def require(self, kinds: frozenset[Kind], model: str) -> None:
        """Raises `UsageError` unless a model of such kinds can read it."""
        if self.kind in kinds:
            return
        if self.kind == "composed":
            raise UsageError(
                f"the {model} model cannot compose a video and a text into one vector: give one"
            )
        raise UsageError(f"the {model} model reads no {self.kind}: give {' or '.join(kinds)}")


def as_request(item: object, role: Role) -> Request:
    """What `item` means; a query's string is always a text, a document's may name a file.

    Raises `UsageError` for anything that is no document.
    """
    if isinstance(item, Mapping):
        return _named(item)
    if isinstance(item, str):
        return Request(text=checked_text(item)) if role == "query" else _file_or_text(item)
    if isinstance(item, Path):
        return _file(item)
    if isinstance(item, Frames | Excerpt):
        return Request(video=item)
    noun = "text" if role == "query" else "document"
    raise UsageError(f"a {noun} of type {type(item).__name__}: give a string, a path or Frames")


def checked_text(text: object) -> str:
    """The text itself, if it is a string with something in it, of bearable size."""
    if not isinstance(text, str):
        raise UsageError(f"a text of type {type(text).__name__}: give a string")
    if not text.strip():
        raise UsageError("the text is empty: describe what you look for")
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the text {text[:40]!r} is not valid Unicode") from None
    if size_bytes > MAX_TEXT_BYTES:
        raise UsageError(f"the text has {size_bytes} bytes: give at most {MAX_TEXT_BYTES}")
    return text


def checked_words(text: object, noun: str) -> str:
    """The text itself, if it is one that can be said; `noun` is what a person calls it."""
    if isinstance(text, str) and not text.strip():
        raise UsageError(f"the {noun} is empty: write it out")
    return checked_text(text)


def checked_options(options: Sequence[str], noun: str = "option") -> list[str]:
    """Answers to choose from: two or more, or none; `UsageError` for a blank or a single one."""
    if isinstance(options, str) or len(options) == 1:
        given = options if isinstance(options, str) else list(options)
        raise UsageError(f"{noun}s {given!r}: give a list of two or more, or none")
    return [checked_words(option, noun) for option in options]


def file_or_piece(name: str) -> Path | Excerpt:
    """`film.mp4` is that file, `film.mp4@12-17` its seconds 12 to 17, as is `film.mp4@0:12-0:17`.

    A file that has such a name itself is that file. Raises `UsageError` for a piece that is empty,
    reversed or not written so.
    """
    if "@" not in name or is_file(name):
        return Path(name)
    found = _PIECE.fullmatch(name)
    if found is None:
        before = name.rpartition("@")[0]
        if is_file(before):
            raise UsageError(f"{name}: write FILE@START-END in seconds, such as {before}@12-17")
        return Path(name)
    path, *ends = found.groups()
    times = [_CLOCK.fullmatch(end) for end in ends]
    if not all(times):
        raise UsageError(f"{name}: write times as seconds, 75.5, or as 1:15.5")
    start_s, end_s = (_seconds(*time.groups()) for time in times if time)
    if not start_s < end_s < math.inf:
        raise UsageError(f"{name}: a piece begins before it ends, such as {path}@12-17")
    return Excerpt(Path(path), Span(start_s, end_s))


def _seconds(hours: str | None, minutes: str | None, seconds: str) -> float:
    return 3600 * float(hours or 0) + 60 * float(minutes or 0) + float(seconds)


def is_file(name: str) -> bool:
    """Whether there is such a file; a text may be too long for a name."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # ValueError for a NUL
        return False


def _named(item: Mapping[Any, Any]) -> Request:
    keys = set(item)
    media = keys - {"text"}
    if keys and keys <= {"text", "video", "image"} and len(media) <= 1:
        text = checked_text(item["text"]) if "text" in keys else None
        sources = {key: item[key] for key in media}
        if all(isinstance(source, str | Path | Frames | Excerpt) for source in sources.values()):
            image = sources.get("image")
            if isinstance(image, Excerpt):
                raise UsageError(f"{image}: a picture has no seconds, give the piece as a video")
            if isinstance(image, Frames) and len(image) != 1:
                raise UsageError(f"an image of {len(image)} frames: give one")
            return Request(text=text, **sources)
    raise UsageError(f'a document with {sorted(map(str, item))}: give {{"video": path}}')


def _file_or_text(text: str) -> Request:
    """A string means a file if it exists, or ends like a video's or picture's name."""
    from kinoscope.video import is_picture_name, is_video_name

    named = is_video_name(text) or is_picture_name(text) or is_file(text)
    return _file(Path(text)) if named else Request(text=checked_text(text))


def _file(path: Path) -> Request:
    from kinoscope.video import is_picture_name

    return Request(image=path) if is_picture_name(path.name) else Request(video=path)
