"""Opens a path as one local video and as nothing else; names the fault of a file that is none."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from kinoscope.addresses import FarPath
from kinoscope.errors import MediaError, UsageError
from kinoscope.video import remote

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = (
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m4v"),
    *(".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv"),
    *(".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv"),
)
# Containers that hold one film in one file. Playlists (hls, dash, concat) and pictures are not
# among them, so that a file can neither name other files nor reach the network. Audio formats are
# here only to tell a song from garbage.
_DEMUXERS = "mov,matroska,mpegts,mpeg,avi,asf,flv,ogg,mxf,nut,rm,dv,wtv,mp3,wav,flac,aac,aiff"
_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """Bounds on memory and work, so that a hostile header cannot exhaust the machine.

    Attributes:
        max_side_px: longest side of a picture, as stored and on display.
        max_pixels: most pixels of a picture, as stored; the decoder itself keeps to it, too.
        max_duration_s: frames that claim a later time are dropped as damaged.
    """

    max_side_px: int = 8192
    max_pixels: int = 8192 * 4608
    max_duration_s: float = 48 * 3600.0

    def __post_init__(self) -> None:
        if not (min(self.max_side_px, self.max_pixels) >= 1 and self.max_duration_s > 0):
            raise UsageError(f"{self}: every limit must be positive")


def is_video_name(name: str) -> bool:
    """Whether a file name looks like a video: by suffix, in capitals or not.

    `._clip.mov` does not: files of such names hold a Mac's notes on `clip.mov`.
    """
    path = Path(name)
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith("._")


class Identity(NamedTuple):
    """What tells whether a file is still the one that was opened."""

    size_bytes: int
    modified_ns: int


def open_file(path: Path) -> tuple[BinaryIO, Identity]:
    """Opens a regular, non-empty file; raises `MediaError` missing, unreadable or empty.

    A `FarPath` is opened where it lies; no other path is taken for an address.
    """
    try:
        if isinstance(path, FarPath):
            return _open_far(path)
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise MediaError("unreadable", f"{path} is a folder: give a video file")
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for its writer
            raise MediaError("unreadable", f"{path} is a pipe or device: give a regular file")
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    found = os.fstat(file.fileno())
    if not found.st_size:
        file.close()
        raise MediaError("empty", f"{path} has 0 bytes: copy it again from its source")
    return file, _identity(found)


def _open_far(path: FarPath) -> tuple[BinaryIO, Identity]:
    told = remote.stat(str(path))
    if not told.size_bytes:
        raise MediaError("empty", f"{path} has 0 bytes: copy it again from its source")
    return cast(BinaryIO, remote.open_far(str(path))), Identity(*told)


class LocalFile:
    """All that FFmpeg may do with an open file: read and seek. It never learns a name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position, or -1 for one that is impossible, as damaged files ask for."""
        try:
            return self._seek(offset, whence)
        except (OSError, OverflowError):
            return -1


def check_unchanged(path: Path, identity: Identity) -> None:
    """Raises `MediaError` missing or changed if `path` no longer is the file of that identity."""
    try:
        far = isinstance(path, FarPath)
        found = Identity(*remote.stat(str(path))) if far else _identity(path.stat())
    except FileNotFoundError as error:
        raise MediaError("missing", f"{path} vanished while it was read: look again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if found != identity:
        raise MediaError("changed", f"{path} changed while it was read: try again when it is done")


def unreadable(path: Path, error: OSError | ValueError) -> MediaError:
    """What the operating system refused, as a `MediaError`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return MediaError("missing", f"{path} is a link to nothing: mend or remove it")
        return MediaError("missing", f"{path} does not exist: check the path")
    if isinstance(error, PermissionError):
        return MediaError("unreadable", f"{path}: permission denied; make it readable")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return MediaError("unreadable", f"{path} is a link that leads back to itself: remove it")
    reason = error.strerror if isinstance(error, OSError) else error  # e.g. a NUL in the name
    return MediaError("unreadable", f"{path} cannot be read ({reason}): check the disk and path")


def open_container(path: Path, file: BinaryIO, limits: DecodeLimits) -> "InputContainer":
    """Reads the header of an open file; `path` serves for messages only.

    FFmpeg is given the bytes, so that nothing in a name is a protocol, an option or a pattern.
    Raises `MediaError` not_media or unreadable.
    """
    import av

    file.seek(0)
    try:
        return av.open(
            LocalFile(file),
            mode="r",
            options={"max_pixels": str(limits.max_pixels)},
            container_options={"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"},
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
        )
    except av.FFmpegError as error:
        raise MediaError(
            "not_media",
            f"{path} is not a video that can be read: if it plays elsewhere, re-encode it to MP4",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def choose_stream(path: Path, container: "InputContainer") -> "VideoStream":
    """The main moving picture, cover art and thumbnails aside; `MediaError` no_video if none."""
    from av.stream import Disposition

    stills = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    moving = [stream for stream in container.streams.video if not stream.disposition & stills]
    decodable = [stream for stream in moving if stream.codec_context is not None]
    if not decodable:
        what = "a video codec that is not known" if moving else "no moving picture"
        raise MediaError("no_video", f"{path} holds {what}: give another file, or re-encode it")
    best = container.streams.best("video")
    return next((stream for stream in decodable if stream is best), decodable[0])


def check_size(path: Path, width: int, height: int, limits: DecodeLimits) -> None:
    """Raises `MediaError` too_large for a picture of more pixels than the limits allow."""
    if max(width, height) > limits.max_side_px or width * height > limits.max_pixels:
        raise MediaError(
            "too_large",
            f"{path} has pictures of {width}x{height} pixels, over the limit of"
            f" {limits.max_side_px} a side and {limits.max_pixels} in all: re-encode it smaller",
        )


def _identity(found: os.stat_result) -> Identity:
    return Identity(found.st_size, found.st_mtime_ns)
