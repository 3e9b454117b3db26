"""How fast `mini` trains, where the time goes, and whether a killed run goes on exactly.

    python -m recipes.train_speed

A few steps of stage 1 on features that are cached, then the rate at which new videos become
features; then two runs of equal seeds, of which one is killed with SIGKILL and started again.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kinoscope.evaluation.results import Metric, save_result
from kinoscope.sampling import SamplingConfig
from kinoscope.training.journal import read_journal
from kinoscope.training.recipe import Recipe, run, stage_folder
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.training.timing import STAGES
from kinoscope.training.world import WorldConfig
from recipes import mini

STEPS, FIRST = 10, 2
"""Of the run that is timed; the first steps only warm up."""
RESUMED_STEPS, KILLED_AFTER = 8, 3
BATCH, VIDEOS = 8, 64
_CURVE = ("step", "loss", "loss/contrast", "loss/caption", "lr", "grad_norm")
_WAIT_S = 900.0


def main(arguments: Sequence[str]) -> None:
    """Saves `results/train_speed.json`; with a folder, it is the run that gets killed."""
    if arguments:
        run(recipe(RESUMED_STEPS, BATCH), Path(arguments[0]), 1)
        return
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        metrics = speed(Path(folder)) | resumed(Path(folder))
    details = {
        "steps": STEPS,
        "batch": mini.recipe(1).loop.batch,
        "layers": mini.LAYERS,
        "samples": "videos; most bring their reversal along as a second pair",
        "killed": {"steps": RESUMED_STEPS, "after": KILLED_AFTER, "batch": BATCH},
    }
    save_result("train_speed", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>24} {metric.value:.4g}")


def recipe(steps: int, batch: int) -> Recipe:
    """Stage 1 in small, on shapes and props, with a checkpoint after each step."""
    found = mini.recipe(1)
    return replace(
        found,
        source=lambda: GeneratedSource("train", VIDEOS, config=WorldConfig(sprites=())),
        loop=replace(found.loop, steps=steps, batch=batch, checkpoint_every_s=0.0),
    )


def speed(folder: Path) -> dict[str, Metric]:
    """Samples a second with features at hand, shares of a step, and memory; and without them."""
    root = folder / "timed"
    timed = recipe(STEPS, mini.recipe(1).loop.batch)
    run(replace(timed, loop=replace(timed.loop, checkpoint_every_s=1e9)), root, 1, tell=print)
    records = read_journal(stage_folder(root, 1))[FIRST:]
    spent_s = {stage: sum(record[f"{stage}_s"] for record in records) for stage in STAGES}
    all_s, count = sum(spent_s.values()), len(records)
    samples = timed.loop.batch * count
    rate = videos_per_s(timed.sampling, folder / "features")
    decode_s = samples / rate
    metrics = {
        "samples_per_s": Metric(value=samples / all_s, n=count),
        "memory_mb": Metric(value=records[-1]["memory_mb"], n=count),
        "decode_share": Metric(value=decode_s / (decode_s + all_s), n=count),
        "new_videos_per_s": Metric(value=rate, n=VIDEOS),
    }
    shares = {f"{stage}_share": Metric(value=s / all_s, n=count) for stage, s in spent_s.items()}
    return metrics | shares


def videos_per_s(sampling: SamplingConfig, folder: Path) -> float:
    """How many videos a second are rendered and seen by the tower, in this process."""
    backbone = mini.untrained()
    cache = FeatureCache(folder, backbone, sampling, tower=mini.tower(backbone))
    source = GeneratedSource("train", VIDEOS, config=WorldConfig(sprites=()))
    cache.features(source, 0)  # the tower loads
    began_s = time.perf_counter()
    for number in range(1, VIDEOS):
        cache.features(source, number)
    return (VIDEOS - 1) / (time.perf_counter() - began_s)


def resumed(folder: Path) -> dict[str, Metric]:
    """1 if a run that was killed and started again has the loss curve of one that was not."""
    whole, broken = folder / "whole", folder / "broken"
    finish(start(whole))
    victim = start(broken)
    steps_at_kill = kill_after(victim, broken, KILLED_AFTER)
    assert steps_at_kill < RESUMED_STEPS, "the run was over before it was killed"
    finish(start(broken))
    equal = curve(whole) == curve(broken)
    assert len(curve(whole)) == RESUMED_STEPS, curve(whole)
    return {
        "resume_equal": Metric(value=float(equal), n=RESUMED_STEPS),
        "steps_at_kill": Metric(value=steps_at_kill, n=1),
    }


def start(root: Path) -> "subprocess.Popen[bytes]":
    """The run of `main` with a folder."""
    return subprocess.Popen([sys.executable, "-m", "recipes.train_speed", str(root)])


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Waits for success."""
    assert process.wait(_WAIT_S) == 0, "a run failed: its message is above"


def kill_after(process: "subprocess.Popen[bytes]", root: Path, step: int) -> int:
    """Sends SIGKILL once a step is in the journal; the last step that was."""
    end_s = time.monotonic() + _WAIT_S
    while process.poll() is None and time.monotonic() < end_s:
        done = len(curve(root))
        if done >= step:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return len(curve(root))
        time.sleep(0.05)
    raise AssertionError("the run ended before it could be killed")


def curve(root: Path) -> list[Mapping[str, object]]:
    """What must be equal, to the last bit, of each step's record."""
    folder = stage_folder(root, 1)
    records = read_journal(folder) if folder.exists() else []
    return [{name: record.get(name) for name in _CURVE} for record in records]


if __name__ == "__main__":
    main(sys.argv[1:])
