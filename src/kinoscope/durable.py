"""Files that are on the disk, whole, not only on their way there."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def flush(path: Path) -> None:
    """Waits until a file's content, or the names inside a folder, are on the disk.

    Windows opens no folders; there only files are waited for.
    """
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tree_bytes(folder: Path) -> int:
    """Sizes of all files below a folder; one that vanishes meanwhile counts for nothing."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(top, name).stat().st_size
    return total


def write_atomically(path: Path, text: str) -> None:
    """A file with that text on the disk, whole or as it was: also after a kill or a power cut."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        draft = Path(folder) / path.name
        draft.write_text(text, encoding="utf-8")
        flush(draft)
        draft.replace(path)
    flush(path.parent)


class Flusher:
    """Flushes what is new in a tree of files that others write, as LanceDB does a table.

    A file counts as new when its name, inode, size or time is; a folder when its names are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: set[tuple[object, ...]] = set()
        self._names: dict[str, frozenset[str]] = {}

    def flush(self) -> list[Path]:
        """Waits for all that came since the last time, content before names; returns the files.

        A file that vanishes meanwhile was not to stay. Raises `OSError` when the disk refuses.
        """
        new: list[Path] = []
        for folder, _, names in os.walk(self._folder, topdown=False):
            new += [path for name in names if self._flush_file(path := Path(folder, name))]
            held = frozenset(path.name for path in Path(folder).iterdir())
            if self._names.get(folder) != held:
                flush(Path(folder))
                self._names[folder] = held
        return new

    def _flush_file(self, path: Path) -> bool:
        try:
            status = path.stat()
            key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
            if key in self._files:
                return False
            flush(path)
        except FileNotFoundError:
            return False
        self._files.add(key)
        return True
