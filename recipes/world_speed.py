"""How fast the generated video world is: frames, texts, and videos written by two workers."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kinoscope.evaluation.results import Metric, save_result
from kinoscope.training.world import Scene, WorldConfig, assets, sample
from kinoscope.training.world.dataset import MakeConfig, make
from kinoscope.training.world.records import describe_scene
from kinoscope.training.world.render import frame_times, render

VIDEOS, WRITTEN = 60, 400
TEXTS = 200
FPS = 8.0
WORKERS = 2
WORLDS = {"": WorldConfig(sprites=()), "_sprites": WorldConfig()}
"""What to measure, by the end of the metrics' names; the second needs the sprites in the cache."""


def main() -> None:
    """Measures each world once and saves `results/world_speed.json`."""
    metrics: dict[str, Metric] = {}
    for suffix, world in WORLDS.items():
        if world.sprites and not assets.is_complete():
            print("no sprites in the cache: measured shapes and props alone")
            continue
        metrics[f"render_frames_per_s{suffix}"] = render_rate(world)
        metrics[f"texts_per_s{suffix}"] = text_rate(world)
        metrics[f"videos_per_s{suffix}"] = video_rate(world)
    details = {
        "fps": FPS,
        "workers": WORKERS,
        "written": WRITTEN,
        "duration_s": WORLDS[""].duration_s,
    }
    save_result("world_speed", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name} {metric.value:.1f}")


def render_rate(world: WorldConfig) -> Metric:
    """Frames a second on one core, at the default size."""
    scenes = [sample("train", seed, world) for seed in range(VIDEOS)]
    frames = sum(len(frame_times(scene.duration_s, FPS)) for scene in scenes)

    def work() -> None:
        for scene in scenes:
            render(scene, frame_times(scene.duration_s, FPS))

    return rate(work, frames)


def text_rate(world: WorldConfig) -> Metric:
    """Scenes a second that are drawn and told with all their texts, on one core."""

    def tell(seed: int) -> Scene:
        scene = sample("train", seed, world)
        describe_scene(scene)
        return scene

    tell(TEXTS)  # the nouns are read once a process
    return rate(lambda: [tell(seed) for seed in range(TEXTS)], TEXTS)


def video_rate(world: WorldConfig) -> Metric:
    """Videos a second that two workers write with their records, their start included."""
    config = MakeConfig(split="train", count=WRITTEN, fps=FPS, world=world)
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        return rate(lambda: make(Path(folder) / "world", config, workers=WORKERS), WRITTEN)


def rate(work: Callable[[], object], count: int) -> Metric:
    """How many of `count` items a second the work makes."""
    start_s = time.perf_counter()
    work()
    return Metric(value=count / (time.perf_counter() - start_s), n=count)


if __name__ == "__main__":
    main()
