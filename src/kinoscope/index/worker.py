"""The decoding process: reads requests as JSON lines on stdin, writes what it decodes to stdout.

A message is one JSON line; `frames` is followed by the bytes of its times and of its pixels.
Nothing is pickled: this process reads hostile files, none of its bytes may be code.
"""

import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import BinaryIO

import numpy as np

from kinoscope.addresses import path_of
from kinoscope.clips import around
from kinoscope.errors import MediaError
from kinoscope.index.scan import FoundFile
from kinoscope.sampling import SamplingConfig, Window, grid_times
from kinoscope.types import Frames, Span
from kinoscope.video import DecodeLimits, DecodeReport, VideoInfo, VideoReader

# Small, so that a slow film (8K AV1, 10 frames a second) shows progress before it counts as stuck;
# a message costs under 1 ms, and 4 seconds of 720p film 110 ms.
CHUNK_FRAMES = 4

Decoded = VideoInfo | Frames | DecodeReport


@dataclass(frozen=True, kw_only=True)
class DecodeRequest:
    """One file to decode, how its instants are chosen, and how many threads may work on it.

    With a `span` only frames that may be on screen in it, and one behind, see `clips.around`.
    """

    file: FoundFile
    sampling: SamplingConfig
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    threads: int = 1
    span: Span | None = None


def decode_file(request: DecodeRequest) -> Iterator[Decoded]:
    """Yields what the container declares, then the sampled frames, then the report.

    Raises `MediaError` for a file that gives no frames.
    """
    sampling = request.sampling
    with VideoReader(
        path_of(request.file.path),
        policy=sampling.policy,
        side_px=sampling.side_px,
        max_pixels=sampling.max_pixels,
        limits=request.limits,
        threads=request.threads,
    ) as reader:
        yield reader.info
        times_s = grid_times(sampling, reader.info.declared_duration_s)
        if request.span is not None:
            times_s = around(times_s, request.span)
        yield from reader.sample(times_s, chunk=CHUNK_FRAMES)
        yield reader.report


Decode = Callable[[DecodeRequest], Iterator[Decoded]]


def encode_request(request: DecodeRequest) -> bytes:
    """One line of JSON; a name that is no Unicode survives as escaped surrogates."""
    return json.dumps(asdict(request)).encode() + b"\n"


def decode_request(line: bytes) -> DecodeRequest:
    """The reverse of `encode_request`."""
    values = json.loads(line)
    sampling = values["sampling"]
    windows = tuple(Window(**window) for window in sampling.pop("windows"))
    return DecodeRequest(
        file=FoundFile(**values["file"]),
        sampling=SamplingConfig(**sampling, windows=windows),
        limits=DecodeLimits(**values["limits"]),
        threads=values["threads"],
        span=Span(**values["span"]) if values["span"] else None,
    )


def main() -> None:
    """Serves requests until stdin ends, which it also does when the parent is killed.

    Arguments: `MODULE:FUNCTION` of the decoder, and the limit of the address space in bytes.
    """
    name, limit_bytes = sys.argv[1:]
    module, _, function = name.partition(":")
    decode: Decode = getattr(importlib.import_module(module), function)
    _limit_memory(int(limit_bytes))
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a codec prints must not get between messages
    try:
        _send(out, {"kind": "ready"})
        sys.excepthook = partial(_say_last_words, out)  # instead of a trace in a user's terminal
        while True:
            _serve(decode, decode_request(lines.get()), out)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)


def _say_last_words(
    out: BinaryIO, kind: type[BaseException], error: BaseException, _trace: object
) -> None:
    """Tells the parent of a mistake of ours: `RuntimeError: no such plane`."""
    _send(out, {"kind": "dying", "reason": f"{kind.__name__}: {error}"[:200]})


def _listen(lines: "queue.SimpleQueue[bytes]") -> None:
    for line in os.fdopen(0, "rb", closefd=False):
        lines.put(line)
    os._exit(0)  # also in the middle of a file


def _limit_memory(limit_bytes: int) -> None:
    """So that a decoding bomb ends as a failed allocation of this process, not of the machine."""
    try:
        import resource
    except ImportError:  # not a Unix
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit_bytes = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))


def _serve(decode: Decode, request: DecodeRequest, out: BinaryIO) -> None:
    start_s = time.process_time()
    verdict: dict[str, object] = {}
    try:
        request.file.check_there()
        for item in decode(request):
            match item:
                case VideoInfo():
                    _send(out, {"kind": "opened", "info": asdict(item) | {"path": None}})
                case Frames():
                    header = {"kind": "frames", "shape": item.rgb_FHWC.shape}
                    rgb_FHWC = np.ascontiguousarray(item.rgb_FHWC)
                    _send(out, header, item.times_F.tobytes(), rgb_FHWC.data)
                case DecodeReport():
                    verdict = {"kind": "finished", "report": asdict(item)}
        request.file.check_there()
        assert verdict, "the decoder gave no report"
    except (MediaError, MemoryError) as error:
        verdict = _explain(request, error)
    _send(out, {**verdict, "cpu_s": time.process_time() - start_s})


def _explain(request: DecodeRequest, error: MediaError | MemoryError) -> dict[str, object]:
    """A file that vanished or changed meanwhile is the better explanation of any other fault."""
    if isinstance(error, MemoryError):
        message = f"{request.file.path} needs more memory to decode than a worker may use"
        error = MediaError("too_large", message)
    try:
        request.file.check_there()
    except MediaError as cause:
        error = cause
    return {"kind": "failed", "fault": error.fault, "message": str(error)}


def _send(out: BinaryIO, header: Mapping[str, object], *parts: bytes | memoryview) -> None:
    for part in (json.dumps(header).encode() + b"\n", *parts):
        waiting = memoryview(part).cast("B")
        while waiting:
            waiting = waiting[out.write(waiting) :]
