"""Decoders that go wrong on purpose; the workers of the tests import them by name."""

import itertools
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError
from kinoscope.index.worker import decode_file
from kinoscope.types import Frames
from kinoscope.video import DecodeReport, VideoInfo

SIDE_PX = 8
DEATHS = "TESTS_DEATHS"
"""Names a file with a line for each process that is to be killed while it imports this module."""


def die_early():
    """Takes a line of that file, and its own life."""
    deaths = Path(os.environ[DEATHS])
    if lines := deaths.read_text().splitlines():
        deaths.write_text("\n".join(lines[1:]))
        os.kill(os.getpid(), signal.SIGKILL)


if DEATHS in os.environ:
    die_early()


def made(request, seconds=3.0):
    """Pretends to decode: a frame a second, as bright as its number."""
    yield VideoInfo(
        path=Path(request.file.path),
        declared_duration_s=seconds,
        width=SIDE_PX,
        height=SIDE_PX,
        codec="made",
        rotation=0,
        hdr=False,
        fps=1.0,
        has_audio=False,
    )
    for i in range(round(seconds)):
        yield Frames(np.full((1, SIDE_PX, SIDE_PX, 3), i % 256, np.uint8), np.array([i + 0.5]))
    yield DecodeReport(
        frames_decoded=round(seconds),
        corrupt_packets=0,
        dropped_frames=0,
        end_s=seconds,
        ends_early=False,
    )


def by_name(request):
    """Does to a file what its name says, and decodes all others as usual."""
    kind = Path(request.file.path).stem.partition("-")[0]
    return BY_NAME.get(kind, decode_file)(request)


def made_by_name(request):
    """The same without real files of video."""
    kind = Path(request.file.path).stem.partition("-")[0]
    return BY_NAME.get(kind, made)(request)


def long_film(request):
    """Two thousand seconds, for what happens after decoding."""
    yield from made(request, seconds=2000.0)


def segfault(request):
    yield next(made(request))
    os.kill(os.getpid(), signal.SIGSEGV)


def raises(request):
    raise RuntimeError("a mistake of ours")
    yield


def hang(request):
    yield next(made(request))
    time.sleep(3600)


def trickle(request):
    """Gives a frame now and then, and never ends."""
    yield next(made(request, seconds=0.001))
    for i in range(10_000):
        time.sleep(0.05)
        yield Frames(np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8), np.array([float(i)]))


def slow(request):
    """Gives 20 frames in a second."""
    items = made(request, seconds=20.0)
    for item in items:
        time.sleep(0.05)
        yield item


def undeclared(request):
    """Two seconds of work for 20 s of film whose container declares no duration."""
    opened, *items = made(request, seconds=20.0)
    yield replace(opened, declared_duration_s=None)
    for item in items:
        time.sleep(0.1)
        yield item


def chatter(request):
    """A codec that prints to stdout, where the messages go."""
    print("[codec] deprecated pixel format", flush=True)
    os.write(1, b"[codec] native noise\n")
    yield from made(request)


def bomb(request):
    yield next(made(request))
    yield Frames(np.ones((2**10, 2**10, 2**10, 3), np.uint8), np.arange(2.0**10))


def vanish(request):
    items = made(request)
    yield next(items)
    Path(request.file.path).unlink()
    yield from items


def change(request):
    items = made(request)
    yield next(items)
    with Path(request.file.path).open("ab") as stream:
        stream.write(b"more")
    yield from items


def torn(request):
    """The file changes, and the decoder stumbles over it."""
    yield next(made(request))
    Path(request.file.path).write_bytes(b"new")
    raise MediaError("not_media", f"{request.file.path} is garbage")


def garbage(request):
    """An exploited decoder that writes what it likes."""
    yield next(made(request))
    for fd in range(3, 20):
        try:
            os.write(fd, b'{"kind": "frames", "shape": [4, "x"]}\n')
        except OSError:
            continue
    time.sleep(3600)


def _say(*messages):
    """Writes past the worker to its parent, as an exploited decoder may, and says no more."""
    lines = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    for fd in range(3, 20):
        try:
            os.write(fd, lines)
        except OSError:
            continue
    time.sleep(3600)


_REPORT = {"frames_decoded": 1, "corrupt_packets": 0, "dropped_frames": 0, "end_s": 1.0}
_ENDED = {"kind": "finished", "report": _REPORT | {"ends_early": False}, "cpu_s": 0.0}


def ends_at_once(request):
    """Says that a film is read of which it has shown nothing."""
    yield next(made(request))
    _say(_ENDED)


def opens_twice(request):
    opened = next(made(request))
    yield opened
    yield opened


def shows_unopened(request):
    """Frames of a video that nothing is known about."""
    yield from itertools.islice(made(request), 1, None)


def shows_much_unopened(request):
    """The same, all at once."""
    yield Frames(np.zeros((3, SIDE_PX, SIDE_PX, 3), np.uint8), np.arange(3.0))


def picture(request):
    """One frame, and no video."""
    yield Frames(np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8), np.array([0.0]))
    yield DecodeReport(**_REPORT, ends_early=False)


def goes_back(request):
    """Shows what was before."""
    opened, first, *_ = made(request)
    yield from (opened, first, first)


def changes_size(request):
    """Shows pictures of two sizes."""
    yield from itertools.islice(made(request), 2)
    yield Frames(np.zeros((1, SIDE_PX, 2 * SIDE_PX, 3), np.uint8), np.array([9.0]))


def speaks_for_others(request):
    """Ends its film, and then one that another asked for."""
    yield from itertools.islice(made(request), 2)
    _say(_ENDED, _ENDED)


def endless(request):
    """More frames than anybody takes; measures back-pressure by the time it spends."""
    yield next(made(request, seconds=1e5))
    for i in range(100_000):
        Path(request.file.path + ".count").write_text(str(i))
        yield Frames(np.zeros((4, 128, 128, 3), np.uint8), np.arange(4.0) + 4 * i)


def modules(request):
    """Decodes as usual, then writes which modules the worker has loaded."""
    yield from decode_file(request)
    Path(request.file.path + ".modules").write_text("\n".join(sys.modules))


BY_NAME = {
    f.__name__: f
    for f in (
        *(segfault, raises, hang, trickle, slow, undeclared, chatter, bomb),
        *(vanish, change, torn, garbage, endless, modules),
        *(
            ends_at_once,
            opens_twice,
            shows_unopened,
            shows_much_unopened,
            picture,
            goes_back,
            changes_size,
            speaks_for_others,
        ),
    )
}
