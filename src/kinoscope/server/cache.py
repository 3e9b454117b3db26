"""Posters and previews on disk: made once, the longest unused let go."""

import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from kinoscope.errors import UsageError


class Cache:
    """Files by name in a folder of its own, at most so many bytes together."""

    def __init__(self, folder: Path, most_bytes: int, *, drafts: Path) -> None:
        """`drafts` is a folder on the same disk for what is not finished.

        Raises `UsageError` if the folder cannot be written.
        """
        self._folder, self._most_bytes, self._drafts = folder, most_bytes, drafts
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cache {folder}: {error.strerror}; choose another folder") from error

    def opened(self, name: str, make: Callable[[Path], None]) -> int:
        """An open file descriptor; `make` writes the file where it is not there yet.

        Those who ask for the same at the same time wait for the first. Errors are those of `make`.
        """
        path = self._folder / name
        assert path.parent == self._folder, name
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                descriptor = self._made(path, make)
            os.utime(path)
        with self._lock:
            self._making.pop(name, None)
        return descriptor

    def _made(self, path: Path, make: Callable[[Path], None]) -> int:
        draft = self._drafts / f"{uuid.uuid4().hex}{path.suffix}"
        try:
            make(draft)
            descriptor = os.open(draft, os.O_RDONLY)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._make_room(path)
        return descriptor

    def _make_room(self, newest: Path) -> None:
        """Lets go what was longest unused; whoever has it open reads it to its end."""
        with self._lock:
            found = []
            for path in self._folder.iterdir():
                if not path.name.startswith(".") and path != newest:
                    status = path.stat()
                    found.append((status.st_mtime, status.st_size, path))
            total_bytes = newest.stat().st_size + sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if total_bytes <= self._most_bytes:
                    return
                path.unlink(missing_ok=True)
                total_bytes -= size
