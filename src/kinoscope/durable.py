"""Files that are on the disk, not only on their way there."""

import os
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
