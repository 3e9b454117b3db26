"""Which files browsers play, and an open file as an answer in ranges of bytes."""

import os

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from kinoscope.addresses import path_of
from kinoscope.index.rows import FileRow
from kinoscope.index.scan import FoundFile
from kinoscope.server.faults import Absent

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",  # the same boxes; browsers refuse the name `video/quicktime`
    ".webm": "video/webm",
    ".mkv": "video/webm",
}
_UNKNOWN = "application/octet-stream"
MEDIA_TYPES = (*dict.fromkeys(_TYPES.values()), _UNKNOWN)
"""What files are served as."""

_CODECS = {".webm": ("vp8", "vp9", "av1"), ".mkv": ("vp8", "vp9", "av1")}
_PLAIN = ("h264", "av1", "vp9")


def is_playable(row: FileRow) -> bool:
    """Whether browsers play a file, by its container and codec; the page tries, all the same."""
    suffix = path_of(row.path).suffix.lower()
    return suffix in _TYPES and row.codec in _CODECS.get(suffix, _PLAIN)


def media_type(path: str) -> str:
    """What a file is served as; never anything that a browser would run."""
    return _TYPES.get(path_of(path).suffix.lower(), _UNKNOWN)


def open_indexed(rows: tuple[FileRow, ...]) -> tuple[int, FileRow]:
    """Opens the first of a video's files that is what was indexed, to be served from there.

    A file that was exchanged since, be it by a link to another, has another size or time and is
    not served. Raises `Absent` where none is as it was.
    """
    for row in rows:
        try:
            descriptor = os.open(row.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        status = os.fstat(descriptor)
        if (status.st_size, status.st_mtime_ns) == (row.size_bytes, row.mtime_ns):
            return descriptor, row
        os.close(descriptor)
    raise Absent(f"video {rows[0].video_id} is away, or was changed since: index again")


def require_there(rows: tuple[FileRow, ...]) -> FoundFile:
    """What `open_indexed` would open; whoever decodes it refuses a file that is another by then."""
    descriptor, row = open_indexed(rows)
    os.close(descriptor)
    return FoundFile(path=row.path, size_bytes=row.size_bytes, mtime_ns=row.mtime_ns)


class OpenFile(FileResponse):
    """An open file as an answer; it is closed however the answer ends."""

    def __init__(self, descriptor: int, kind: str, *, private_s: int) -> None:
        """`private_s` is how long a browser may keep it."""
        self._descriptor = descriptor
        headers = {"Cache-Control": f"private, max-age={private_s}"}
        status = os.fstat(descriptor)
        super().__init__(
            f"/dev/fd/{descriptor}", media_type=kind, headers=headers, stat_result=status
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, or the ranges that were asked for."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)
