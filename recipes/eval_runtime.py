"""Benchmarks with an empty store and again with a full one, with `concepts` on films of the world.

    python -m recipes.eval_runtime [--films N]

Films and annotations are made in the layouts of four benchmarks. The second run embeds nothing. A
run of fewer films than 100 is printed and not saved.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Told, Wanted, evaluate
from kinoscope.evaluation.saved import Evaluation
from kinoscope.evaluation.tasks import BENCHMARKS
from kinoscope.training.world import WorldConfig
from kinoscope.training.world.dataset import MakeConfig, make
from kinoscope.training.world.records import Record

FILMS = 100
WORDINGS = 3
TARGET = 20.0
"""How many times faster the second run should be."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Times both runs and saves `results/eval_runtime.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.eval_runtime")
    parser.add_argument("--films", type=int, default=FILMS)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        metrics, details = measured(Path(place), asked.films, Embedder.load())
    for name, metric in metrics.items():
        print(f"{name:>12} {metric.value:.2f}")
    if asked.films < FILMS:
        print("part of a run: not saved")
        return
    save_result("eval_runtime", metrics, details=details)


def measured(
    place: Path, films: int, embedder: Embedder
) -> tuple[dict[str, Metric], dict[str, object]]:
    """`cold_s`, `cached_s`, their ratio, `tasks` and `failed`; figures must be the same."""
    names = write_benchmarks(place, films)
    cold_s, cold = timed(place, names, embedder)
    cached_s, cached = timed(place, names, embedder)
    again = sum(one.vectors["embedded"] for one in cached)
    assert again == 0, f"{again} embedded again"
    for one, other in zip(cold, cached, strict=True):
        assert one.metrics == other.metrics, f"{one.benchmark}: other figures from the store"
    metrics = {
        "cold_s": Metric(value=cold_s, n=films),
        "cached_s": Metric(value=cached_s, n=films),
        "faster": Metric(value=cold_s / cached_s, n=films),
        "tasks": Metric(value=len(names), n=len(names)),
        "failed": Metric(value=sum(len(one.left_out.failed) for one in cold), n=films),
    }
    seconds = {one.benchmark: [dict(one.seconds)] for one in cold}
    for one in cached:
        seconds[one.benchmark].append(dict(one.seconds))
    return metrics, {"target": TARGET, "films": films, "seconds_cold_and_cached": seconds}


def timed(place: Path, names: Sequence[str], embedder: Embedder) -> tuple[float, list[Evaluation]]:
    """All benchmarks in turn, as one command runs them."""
    start_s = time.perf_counter()
    asking = Asking(embedder, Kept(embedder.spec, place / "kept"))
    told = Told(model="concepts", command="python -m recipes.eval_runtime")
    found = [evaluate(Wanted(name=name, folder=place / "films"), asking, told) for name in names]
    return time.perf_counter() - start_s, found


def write_benchmarks(place: Path, count: int) -> list[str]:
    """Films of the world in `films/videos`, and annotations of four benchmarks; their names."""
    plain = WorldConfig(sprites=())  # shapes and props alone: needs no download
    records = make(place / "made", MakeConfig(split="test", count=count, world=plain))
    folder = place / "films"
    (folder / "videos").mkdir(parents=True)
    for record in records:
        (place / "made" / record.file).rename(folder / "videos" / f"{record.id}.mp4")
    written = annotations(records)
    for name, said in written.items():
        (role,) = [role for role in BENCHMARKS[name].files if role != "videos"]
        (folder / BENCHMARKS[name].files[role]).write_text(said)
    return list(written)


def annotations(records: Sequence[Record]) -> Mapping[str, str]:
    """What each benchmark's file says."""
    rows = [f'r{n},m{n},{each.id},"{each.captions[0]}"' for n, each in enumerate(records)]
    vatex = [{"videoID": each.id, "enCap": each.captions[:WORDINGS]} for each in records]
    rtime = [
        {
            "video_id": each.id,
            "forward_caption": each.captions[0],
            "reverse_caption": each.reversed_captions[0],
        }
        for each in records
        if each.chiral
    ]
    moments = [
        f"{each.id} {moment.span.start_s} {moment.span.end_s}##{moment.text}"
        for each in records
        for moment in each.moments
    ]
    return {
        "msr-vtt": "\n".join(["key,vid_key,video_id,sentence", *rows]),
        "vatex": json.dumps(vatex),
        "rtime": json.dumps(rtime),
        "charades-sta": "\n".join(moments),
    }


if __name__ == "__main__":
    main()
