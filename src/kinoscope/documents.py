"""What a caller gives to be embedded, recognised and checked before any work begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.types import Frames, Kind, Role

MAX_TEXT_BYTES = 65_536
"""Over ten thousand words; what is longer was not meant as a description."""

Source = str | Path | Frames
Document = str | Path | Frames | Mapping[str, str | Path | Frames]


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
    if isinstance(item, Frames):
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


def _named(item: Mapping[Any, Any]) -> Request:
    keys = set(item)
    media = keys - {"text"}
    if keys and keys <= {"text", "video", "image"} and len(media) <= 1:
        text = checked_text(item["text"]) if "text" in keys else None
        sources = {key: item[key] for key in media}
        if all(isinstance(source, str | Path | Frames) for source in sources.values()):
            image = sources.get("image")
            if isinstance(image, Frames) and len(image) != 1:
                raise UsageError(f"an image of {len(image)} frames: give one")
            return Request(text=text, **sources)
    raise UsageError(f'a document with {sorted(map(str, item))}: give {{"video": path}}')


def _file_or_text(text: str) -> Request:
    """A string means a file if it exists, or ends like a video's or picture's name."""
    from kinoscope.video import is_picture_name, is_video_name

    try:
        named = is_video_name(text) or is_picture_name(text) or Path(text).is_file()
    except OSError:  # too long for the name of a file
        named = False
    return _file(Path(text)) if named else Request(text=checked_text(text))


def _file(path: Path) -> Request:
    from kinoscope.video import is_picture_name

    return Request(image=path) if is_picture_name(path.name) else Request(video=path)
