"""Packages of the tools that ours is compared with, in a folder of their own, and steps run there.

They are kept away from the environment: some pin old versions of what we need, and nothing of
Kinoscope uses them. Each lies without its dependencies beside ours, so that all tools run on the
same Python, NumPy, PyTorch and ONNX Runtime. What cannot be installed is absent, with the reason.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinoscope.errors import SetupError
from kinoscope.packages import cache_folder

ROOT = Path(__file__).parents[1]
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "opencv": ("opencv-python-headless==5.0.0.93",),
    "decord": ("eva-decord==0.6.1",),
    "ffmpeg": ("imageio-ffmpeg==0.6.0",),
    "framesieve": ("framesieve==0.2.0", "pylance==14.0.2"),
    "rclip": ("rclip==3.3.0", "pi-heif==1.4.0", "ftfy==6.3.1", "wcwidth==0.2.14"),
    "clip-retrieval": (
        "clip-retrieval==2.45.0",
        *("autofaiss==2.18.0", "embedding-reader==1.8.1", "fire==0.7.1", "termcolor==3.3.0"),
    ),
    "faiss": ("faiss-cpu==1.15.1",),
}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that has ended: what it told, and what it took with its start, all its processes."""

    told: Mapping[str, Any]
    wall_s: float
    cpu_s: float


def folder() -> Path:
    """Where they lie: below the cache, so that they are fetched once."""
    return cache_folder() / "peers"


def install(names: Sequence[str] = tuple(PACKAGES)) -> dict[str, str]:
    """Fetches what is not there yet; returns why, for each name that cannot be had."""
    absent = {}
    for name in names:
        place = folder() / name
        told = place / "installed.txt"
        wanted = "\n".join(PACKAGES[name])
        if told.exists() and told.read_text() == wanted:
            continue
        print(f"fetching {', '.join(PACKAGES[name])}", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        command += ["--target", str(place), *PACKAGES[name]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            absent[name] = _last(done.stderr)
            continue
        if name == "ffmpeg":
            _name_ffmpeg(place)
        told.write_text(wanted)
    return absent


def step(module: str, *words: str) -> Done:
    """Runs `python -m module words` beside the packages; its last line on stdout is JSON.

    Raises `SetupError` with the last line of its stderr if it fails.
    """
    began_s, before_s = time.perf_counter(), processor_s(ours=False)
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment()
    )
    wall_s, cpu_s = time.perf_counter() - began_s, processor_s(ours=False) - before_s
    if done.returncode:
        raise SetupError(f"{module} {' '.join(words[:1])}: {_last(done.stderr)}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Done(told=told, wall_s=wall_s, cpu_s=cpu_s)


def environment() -> dict[str, str]:
    """Ours, with the packages behind what is there and their ffmpeg in front; none asks the net."""
    places = [str(folder() / name) for name in PACKAGES]
    ours = [str(ROOT / "src"), str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    paths = [str(folder() / "ffmpeg" / "bin"), os.environ.get("PATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [*ours, *places])),
        "PATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "1",
    }


def _name_ffmpeg(place: Path) -> None:
    """imageio-ffmpeg's binary under the name by which tools call it."""
    (found,) = (p for p in (place / "imageio_ffmpeg" / "binaries").iterdir() if "ffmpeg-" in p.name)
    (place / "bin").mkdir(exist_ok=True)
    link = place / "bin" / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(found)


def processor_s(*, ours: bool = True) -> float:
    """Processor seconds of processes that this one began and that have ended, and of this one."""
    kinds = [resource.RUSAGE_CHILDREN, *([resource.RUSAGE_SELF] if ours else [])]
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
