"""Benchmarks with an empty store and again with a full one, with both built-in models.

    python -m recipes.eval_runtime [--films N]

Films of the world and annotations are made in the layouts of five benchmarks; `mini` answers its
questions, and the world's own of `world-qa` and `world-matching`. The second run asks no model. A
run of fewer films than 100 is printed and not saved. Needs `kinoscope setup mini` and
`kinoscope world fetch`. Features that the cache has of the world's films make the first run faster.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Told, Wanted, evaluate
from kinoscope.evaluation.saved import Evaluation
from kinoscope.evaluation.tasks import BENCHMARKS
from kinoscope.evaluation.tasks.protocol import USUAL, Options
from kinoscope.training.world import WorldConfig
from kinoscope.training.world.dataset import MakeConfig, make
from kinoscope.training.world.records import Record

ASKED: Mapping[str, Sequence[str]] = {
    "concepts": ("msr-vtt", "vatex", "rtime", "charades-sta"),
    "mini": ("mvbench", "world-qa", "world-matching"),
}
"""Which model is measured on which benchmarks."""
FILMS = 100
QUESTIONS = 3
"""On each film."""
WORDINGS = 3
TARGET = 20.0
"""How many times faster the second run should be."""
_REMEMBERING = type(lru_cache(len))


def main(arguments: Sequence[str] | None = None) -> None:
    """Times both runs and saves `results/eval_runtime.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.eval_runtime")
    parser.add_argument("--films", type=int, default=FILMS)
    asked = parser.parse_args(arguments)
    embedders = {name: Embedder.load(name) for name in ASKED}
    with tempfile.TemporaryDirectory() as place:
        metrics, details = measured(Path(place), asked.films, embedders)
    for name, metric in metrics.items():
        print(f"{name:>12} {metric.value:.2f}")
    if asked.films < FILMS:
        print("part of a run: not saved")
        return
    save_result("eval_runtime", metrics, details=details)


def measured(
    place: Path, films: int, embedders: Mapping[str, Embedder]
) -> tuple[dict[str, Metric], dict[str, object]]:
    """`cold_s`, `cached_s`, their ratio, `tasks` and `failed`; figures must be the same."""
    write_benchmarks(place, films)
    cold_s, cold = timed(place, films, embedders)
    cached_s, cached = timed(place, films, embedders)
    again = sum(one.vectors["embedded"] for one in cached)
    assert again == 0, f"{again} asked again"
    for one, other in zip(cold, cached, strict=True):
        assert one.metrics == other.metrics, f"{one.benchmark}: other figures from the store"
    metrics = {
        "cold_s": Metric(value=cold_s, n=films),
        "cached_s": Metric(value=cached_s, n=films),
        "faster": Metric(value=cold_s / cached_s, n=films),
        "tasks": Metric(value=len(cold), n=len(cold)),
        "failed": Metric(value=sum(len(one.left_out.failed) for one in cold), n=films),
    }
    seconds = {one.benchmark: [dict(one.seconds)] for one in cold}
    for one in cached:
        seconds[one.benchmark].append(dict(one.seconds))
    return metrics, {"target": TARGET, "films": films, "seconds_cold_and_cached": seconds}


def timed(
    place: Path, films: int, embedders: Mapping[str, Embedder]
) -> tuple[float, list[Evaluation]]:
    """All benchmarks in turn, as commands run them one after another, models being loaded."""
    forget()
    start_s = time.perf_counter()
    found = []
    for model, names in ASKED.items():
        asking = Asking(embedders[model], Kept(embedders[model].spec, place / "kept"))
        told = Told(model=model, command="python -m recipes.eval_runtime")
        for name in names:
            options = Options(limit=films) if name.startswith("world-") else USUAL
            wanted = Wanted(name=name, folder=place / "films", options=options)
            found.append(evaluate(wanted, asking, told))
    return time.perf_counter() - start_s, found


def forget() -> None:
    """Empties what functions remember of their last calls: a second command begins without it."""
    ours = [module for name, module in sys.modules.items() if name.startswith("kinoscope.")]
    for value in [value for module in ours for value in vars(module).values()]:
        if isinstance(value, _REMEMBERING):
            value.cache_clear()


def write_benchmarks(place: Path, count: int) -> None:
    """Films of the world in `films/videos`, and annotations of benchmarks beside them."""
    plain = WorldConfig(sprites=())  # shapes and props alone: needs no download
    records = make(place / "made", MakeConfig(split="test", count=count, world=plain))
    folder = place / "films"
    (folder / "videos").mkdir(parents=True)
    for record in records:
        (place / "made" / record.file).rename(folder / "videos" / f"{record.id}.mp4")
    for name, said in annotations(records).items():
        (role,) = [role for role in BENCHMARKS[name].files if role != "videos"]
        (folder / BENCHMARKS[name].files[role]).write_text(said)


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
    questions = [
        {
            "video": each.id,
            "question": known.question,
            "candidates": known.options,
            "answer": known.answer,
        }
        for each in records
        for known in each.questions[:QUESTIONS]
    ]
    return {
        "mvbench": json.dumps(questions),
        "msr-vtt": "\n".join(["key,vid_key,video_id,sentence", *rows]),
        "vatex": json.dumps(vatex),
        "rtime": json.dumps(rtime),
        "charades-sta": "\n".join(moments),
    }


if __name__ == "__main__":
    main()
