"""How fast `mini` indexes the ten-minute film and encodes a query, beside `concepts`.

    python -m recipes.mini_speed [FOLDER]

FOLDER is one that `mini` was saved in; its figures are printed and not saved.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinoscope.backbones.mini import Mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.films import VISION_FRAMES
from kinoscope.index.progress import Stopwatch
from kinoscope.samples import fetch
from kinoscope.sampling import grid_times
from kinoscope.video import VideoReader
from recipes.concepts_samples import CLIPS_FOLDER
from recipes.index_speed import Command, Run, index_once, median, summary, watched
from recipes.query_speed import quantile, times_ms

RUNS = 3
STARTS = 5
ROUNDS = 40  # a sentence, those that warm up not counted

SENTENCES = (
    "a dog",
    "a red door opens",
    "two children run along a beach at sunset",
    "the camera moves closer to an old man, who turns around and waves",
    "a white car crosses a bridge from left to right, stops behind a bus, and then drives back the"
    " way it came while it is raining",
    "first a woman in a blue coat puts three apples on a wooden table, then she covers them with a"
    " cloth; after the cut the table stands in a garden, the cloth lies on the grass, and only one"
    " of the apples is left",
)

START = """
import sys
from kinoscope import Embedder
Embedder.load(sys.argv[1]).encode_query("a red door opens")
"""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of one model.

    Attributes:
        runs: index commands on the film.
        tower: part of the model's processor time that its vision tower takes, in 0..1; the
            language model takes the rest. None where the two are not told apart.
        query_ms: of each query, the model loaded and warm.
        starts: new processes that load the model, encode a text, and end.
    """

    runs: Sequence[Run]
    tower: float | None
    query_ms: Sequence[float]
    starts: Sequence[Command]

    def metrics(self, prefix: str = "") -> dict[str, Metric]:
        """All figures, by name."""
        model = median([run.share("vision") for run in self.runs])
        found = {
            "realtime_factor": median([run.realtime_factor for run in self.runs]),
            "peak_rss_mb": median([run.peak_rss_mb for run in self.runs]),
            "decode_share": median([run.share("decode") for run in self.runs]),
            "vision_share": model if self.tower is None else scaled(model, self.tower),
            "write_share": median([run.share("write") for run in self.runs]),
            "query_p50_ms": quantile(self.query_ms, 0.5),
            "query_p95_ms": quantile(self.query_ms, 0.95),
            "query_peak_rss_mb": median([start.peak_rss_mb for start in self.starts]),
            "load_s": median([start.wall_s for start in self.starts]),
        }
        if self.tower is not None:
            found["language_share"] = scaled(model, 1 - self.tower)
        return {prefix + name: metric for name, metric in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both models and saves `results/mini_speed.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.mini_speed")
    parser.add_argument("model", nargs="?", default="mini")
    name = parser.parse_args(arguments).model
    embedder = load_mini(name)
    film = fetch(CLIPS_FOLDER, report=print).film
    models = measured(name, embedder, film)
    metrics = compared(models)
    for title, metric in metrics.items():
        print(f"{title:>26} {metric.value:.3f}")
    if name != "mini":
        print("a folder's figures: not saved")
        return
    save_result("mini_speed", metrics, details=told(embedder, models))


def load_mini(name: str) -> Embedder:
    """`mini`, or a folder that it was saved in."""
    embedder = Embedder.load(name)
    backbone = embedder.backbone
    if not isinstance(backbone, MLLM) or not isinstance(backbone.checkpoint.family, Mini):
        raise UsageError(f"model {name} is not mini: name a folder that it was saved in")
    return embedder


def measured(
    name: str, embedder: Embedder, film: Path, *, runs: int = RUNS, starts: int = STARTS
) -> dict[str, Speed]:
    """`mini` and `concepts`, by turns."""
    names = (name, "concepts")
    indexed = [[index_once(film, "exact", model) for model in names] for _ in range(runs)]
    begun = [[start(model) for model in names] for _ in range(starts + 1)]
    mini_runs, concepts_runs = zip(*indexed, strict=True)
    mini_starts, concepts_starts = zip(*begun[1:], strict=True)  # the first warms the disk cache
    concepts = Embedder.load()
    return {
        "mini": Speed(
            runs=mini_runs,
            tower=tower_part(embedder, film),
            query_ms=query_ms(embedder),
            starts=mini_starts,
        ),
        "concepts": Speed(
            runs=concepts_runs, tower=None, query_ms=query_ms(concepts), starts=concepts_starts
        ),
    }


def start(model: str) -> Command:
    """A new process until it has encoded a text and ended."""
    return watched([sys.executable, "-c", START, model])


def tower_part(embedder: Embedder, film: Path) -> float:
    """Part of the model's processor time that its vision tower takes, as an index run calls it.

    The report of a run has one figure for both.
    """
    watch, sampling = Stopwatch(), embedder.sampling
    stream = embedder.clip_stream()
    with VideoReader(film, policy=sampling.policy, side_px=sampling.side_px) as reader:
        times_s = grid_times(sampling, reader.info.declared_duration_s)
        for frames in reader.sample(times_s, chunk=VISION_FRAMES):
            with watch.stage("vision"):
                features = embedder.vision(frames)
            with watch.stage("language"):
                stream.add(features)
        with watch.stage("language"):
            stream.finish(reader.report.end_s)
    costs = watch.costs("vision", "language")
    return costs["vision"].cpu_s / sum(cost.cpu_s for cost in costs.values())


def query_ms(embedder: Embedder) -> list[float]:
    """Milliseconds of each query: every sentence some rounds, one behind the other."""
    asked = len(SENTENCES) * ROUNDS
    return times_ms(lambda n: embedder.encode_query(SENTENCES[n // ROUNDS]), asked)


def compared(models: Mapping[str, Speed]) -> dict[str, Metric]:
    """Figures of both, and how many times as fast as `concepts` an index run of `mini` is."""
    own = models["mini"].metrics()
    other = models["concepts"].metrics("concepts_")
    ratio = own["realtime_factor"].value / other["concepts_realtime_factor"].value
    return {**own, **other, "of_concepts": Metric(value=ratio, n=own["realtime_factor"].n)}


def told(embedder: Embedder, models: Mapping[str, Speed]) -> dict[str, object]:
    """What was measured, for the saved file."""
    spec = embedder.spec
    return {
        "model": {"name": spec.model, "weights": spec.weights, "sampling": spec.sampling},
        "index": {name: [summary(run) for run in speed.runs] for name, speed in models.items()},
        "shares": "of processor seconds of all processes; tower and language model, which a run"
        " counts as one, are parted as in a pass over the film in one process",
        "tower_of_model": models["mini"].tower,
        "query_p50_ms_by_words": {name: by_words(speed.query_ms) for name, speed in models.items()},
        "load": "a new process that loads the model, encodes a text, and ends",
    }


def by_words(query_ms: Sequence[float]) -> dict[str, float]:
    """Median of each sentence, by its length."""
    medians = [
        statistics.median(query_ms[first : first + ROUNDS])
        for first in range(0, len(query_ms), ROUNDS)
    ]
    pairs = zip(SENTENCES, medians, strict=True)
    return {str(len(sentence.split())): round(found, 2) for sentence, found in pairs}


def scaled(metric: Metric, part: float) -> Metric:
    """A part of a figure."""
    return Metric(value=metric.value * part, n=metric.n)


if __name__ == "__main__":
    main()
