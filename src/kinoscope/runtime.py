"""ONNX Runtime, opened in one place: on the CPU, without telemetry."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kinoscope.errors import SetupError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def usable_cores() -> int:
    """Cores that this process may run on, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(path: Path, threads: int) -> "InferenceSession":
    """The model of an ONNX file, ready to run on so many threads; `SetupError` if damaged."""
    # The official builds report their use to their maker, unless told before the import. No
    # command of ours may use the network.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.capi.onnxruntime_pybind11_state import (
        Fail,
        InvalidGraph,
        InvalidProtobuf,
        NoSuchFile,
        RuntimeException,
    )

    options = SessionOptions()
    options.intra_op_num_threads = threads
    # idle threads sleep: decoding needs the processors between two batches
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile, RuntimeException) as error:
        raise SetupError(
            f"{path} is damaged; delete {path.parent}, then run kinoscope setup"
            " (or kinoscope setup mini)"
        ) from error
