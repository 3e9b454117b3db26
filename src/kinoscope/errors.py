"""Errors a user can act on: each carries the offending value, the remedy, and an exit code."""

from typing import Literal

MediaFault = Literal[
    "missing",  # the path does not exist, or vanished while it was read
    "unreadable",  # permission, symlink loop, input/output error
    "empty",  # zero bytes
    "not_media",  # no demuxer recognises the bytes, or its header is missing
    "no_video",  # audio only, or a picture stream of no use
    "no_frames",  # a video stream from which not one frame could be decoded
    "too_large",  # frame size beyond the configured limit
    "changed",  # the file changed while it was read
    "timeout",  # no progress within the time limit
    "crashed",  # the decoding process died
]


class KinoscopeError(Exception):
    """Base of every error that a user can act on; `exit_code` is the command line's answer."""

    exit_code = 1


class UsageError(KinoscopeError, ValueError):
    """A wrong argument: the message names the value and what is allowed."""

    exit_code = 2


class MediaError(KinoscopeError):
    """A file that gives no frames. `fault` says which kind of failure it is."""

    exit_code = 3

    def __init__(self, fault: MediaFault, message: str) -> None:
        super().__init__(message)
        self.fault: MediaFault = fault

    def __reduce__(self) -> tuple[type["MediaError"], tuple[MediaFault, str]]:
        """How it goes from one process to another."""
        return type(self), (self.fault, str(self))


class IndexFault(KinoscopeError):
    """An index that is missing, foreign, newer, locked, damaged, or on a full or read-only disk."""

    exit_code = 4


class SpecMismatch(KinoscopeError, ValueError):
    """Vectors made by two different embedders were about to be mixed."""

    exit_code = 5


class SetupError(KinoscopeError):
    """Model weights or sample clips are absent, incomplete or not the pinned ones."""

    exit_code = 6


class SomeFilesFailed(KinoscopeError):
    """The run is complete and saved, but some files are in quarantine, missing or broken."""

    exit_code = 7
