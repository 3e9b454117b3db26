"""What clients upload to ask about: kept for a while, in a folder that goes with the server."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kinoscope.errors import MediaError
from kinoscope.sampling import SamplingConfig
from kinoscope.server.config import ServeLimits
from kinoscope.server.decoders import Decoders
from kinoscope.server.faults import Absent

PREFIX = "upload-"
_PIECE_BYTES = 2**20
_MOST_FILES = 256


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that was uploaded; `duration_s` is None for a picture, 0 where nothing is declared."""

    id: str
    path: Path
    size_bytes: int
    duration_s: float | None
    made_s: float = field(default_factory=time.monotonic)


class Uploads:
    """Uploads by id. Ids cannot be guessed, and no name of a client's becomes a file's name."""

    def __init__(self, folder: Path, decoders: Decoders, limits: ServeLimits) -> None:
        """They are kept in a folder that goes with the server."""
        self._folder, self._decoders, self._limits = folder, decoders, limits
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, stream: BinaryIO) -> Upload:
        """Keeps a file that gives a frame.

        Raises `MediaError` for one that gives none, is too large or too long.
        """
        name = PREFIX + secrets.token_hex(16)
        path = self._folder / name
        with ExitStack() as refused:  # what is not kept leaves no file
            refused.callback(path.unlink, missing_ok=True)
            size_bytes = self._written(stream, path)
            sampling = SamplingConfig(side_px=64, windows=())
            with told_as_upload(path):
                length_s = self._decoders.length_s(path, sampling, most_s=self._limits.upload_s)
            refused.pop_all()
        upload = Upload(id=name, path=path, size_bytes=size_bytes, duration_s=length_s)
        with self._lock:
            self._kept[name] = upload
            self._make_room()
        return upload

    def get(self, name: str) -> Upload:
        """Raises `Absent` for an id that is unknown, or was let go."""
        with self._lock:
            self._make_room()
            found = self._kept.get(name)
        if found is None:
            raise Absent(f"no upload {name}: uploads are kept for a while only, upload it again")
        return found

    def _written(self, stream: BinaryIO, path: Path) -> int:
        size_bytes = 0
        with path.open("xb") as kept:
            while piece := stream.read(_PIECE_BYTES):
                size_bytes += len(piece)
                if size_bytes > self._limits.upload_bytes:
                    most = self._limits.upload_bytes
                    raise MediaError("too_large", f"the upload has over {most} bytes: cut it")
                kept.write(piece)
        if not size_bytes:
            raise MediaError("empty", "the upload has 0 bytes: choose a file")
        return size_bytes

    def _make_room(self) -> None:
        """Lets the oldest go while they are too old, too many or too large together."""
        total_bytes = sum(each.size_bytes for each in self._kept.values())
        oldest_s = time.monotonic() - self._limits.uploads_kept_s
        while self._kept:
            first = next(iter(self._kept.values()))
            fits = total_bytes <= self._limits.uploads_bytes and len(self._kept) <= _MOST_FILES
            if len(self._kept) == 1 and first.made_s >= oldest_s:
                return
            if fits and first.made_s >= oldest_s:
                return
            del self._kept[first.id]
            total_bytes -= first.size_bytes
            first.path.unlink(missing_ok=True)


@contextmanager
def told_as_upload(path: Path) -> Iterator[None]:
    """A client is told of the upload, not of where it lies here."""
    try:
        yield
    except MediaError as error:
        raise MediaError(error.fault, str(error).replace(str(path), "the upload")) from None
