"""A folder of one server's own: it goes with the server, and where that was killed, with the next.

Servers may share a cache. Each has a hidden folder in it for what must not outlive it, uploads and
drafts, and holds a lock that the system lets go when the process ends, however it ends.
"""

import secrets
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from kinoscope.errors import UsageError

_PREFIX, _LOCK = ".server-", ".lock"


class OwnFolder:
    """`path` is empty at first, nobody else's, and readable by nobody else."""

    def __init__(self, shared: Path) -> None:
        """Makes one in a folder that servers share, and removes those of servers that are gone.

        Raises `UsageError` if the shared folder cannot be written.
        """
        self.path = shared / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock = _lock_of(self.path)
        try:
            shared.mkdir(parents=True, exist_ok=True)
            with FileLock(shared / f".servers{_LOCK}"):  # nobody sweeps what is half made
                for lock in shared.glob(f"{_PREFIX}*{_LOCK}"):
                    _remove_unless_held(lock.with_suffix(""))
                self._lock.acquire(timeout=0)
                self.path.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(f"cache {shared}: {error.strerror}; choose another folder") from error

    def close(self) -> None:
        """Removes it, with all that is in it."""
        _remove(self.path, self._lock)


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_name(path.name + _LOCK), thread_local=False)


def _remove_unless_held(path: Path) -> None:
    lock = _lock_of(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    _remove(path, lock)


def _remove(path: Path, lock: FileLock) -> None:
    """The lock's file goes last: without it nobody would look for the folder."""
    shutil.rmtree(path, ignore_errors=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
