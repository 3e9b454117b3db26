"""Decoders and models that end the process they run in; nodes of the tests import them by name."""

import os
import signal
from pathlib import Path

from kinoscope.embedder import Embedder
from kinoscope.index.worker import decode_file
from kinoscope.sampling import SamplingConfig
from tests.index import misbehaving
from tests.index.pixels import SIDE_PX, Pixels


def decode(request):
    """Ends the actor above the decoding process for films of that name."""
    stem = Path(request.file.path).stem
    if stem == "murderous":
        os.kill(os.getppid(), signal.SIGKILL)
    yield from misbehaving.BY_NAME.get(stem, decode_file)(request)


class Mortal(Pixels):
    """Ends its process when it first sees a picture, if the note says so; removes the note."""

    def __init__(self, note: Path) -> None:
        super().__init__()
        self._note = note

    def vision(self, frames):
        if self._note.exists():
            self._note.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().vision(frames)


def mortal(note: Path) -> Embedder:
    return Embedder(Mortal(note), sampling=SamplingConfig(side_px=SIDE_PX))


def other() -> Embedder:
    """Not the one that made the index."""
    return Embedder(Pixels(), sampling=SamplingConfig(side_px=2 * SIDE_PX))
