"""What `--not` is worth on the generated world, against subtracted vectors and plain sentences.

    python -m recipes.exclude [--model concepts|mini] [--limit N]

Each query wants one thing and excludes another, such as a dog without a ball, in a gallery where
some videos show both. Right are the videos that show the one and not the other; precision is their
share among as many first hits as there are right videos, at most ten. A limited run is not saved.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.backbones.concepts import Concepts
from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.table import World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.exclusion import FREE, STRENGTH, calibrated
from kinoscope.packages import cache_folder
from kinoscope.training.english import with_article
from kinoscope.training.sources import FeatureCache
from kinoscope.training.world import Scene
from kinoscope.types import Bool, Float32, Float64
from kinoscope.usual import Usual
from kinoscope.weights import model_files
from recipes.arguments import at_least
from recipes.measuring import features_of, load_model, seen_by, show

MOST_HITS = 10
MODELS = ("concepts", "mini")
FORMS = ("operator", "subtraction", "sentence", "plain")


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A thing that is wanted and one that is not; which videos [N] show each."""

    wanted: str
    excluded: str
    shows_N: Bool
    spoilt_N: Bool

    @property
    def right_N(self) -> Bool:
        """Videos that are an answer."""
        return self.shows_N & ~self.spoilt_N


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all forms and saves `results/exclude.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.exclude")
    parser.add_argument("--model", choices=MODELS, default="concepts")
    parser.add_argument("--limit", type=at_least(8), help="test videos, of 1000")
    asked = parser.parse_args(arguments)
    world = World(count=asked.limit or World().count)
    backbone, videos = model_and_videos(asked.model, world)
    metrics, details = measured(backbone, videos)
    show("", metrics, details)
    if asked.limit:
        print("part of a run: not saved")
        return
    save_result("exclude", metrics, details={**details, "model": asked.model})


def model_and_videos(name: str, world: World) -> tuple[Backbone, WorldVideos]:
    """A model, and the test videos as it sees them."""
    backbone: Backbone
    if name == "concepts":
        backbone = Concepts(model_files())
        cache = FeatureCache(cache_folder() / "features", backbone, SAMPLING)
    else:
        backbone = load_model(name)
        cache = features_of(backbone)
    return backbone, seen_by(cache)(world.test()).first(world.count)


def measured(
    backbone: Backbone, videos: WorldVideos
) -> tuple[dict[str, Metric], dict[str, object]]:
    """`precision_FORM` of all forms, and how often a hit shows what is excluded."""
    queries = queries_of(list(videos.scenes()))
    clips_ND = embed_clips(backbone, videos.clips())
    found = worths(backbone, queries, clips_ND)
    keys = [query.wanted for query in queries]
    metrics, spoilt = {}, {}
    for form in FORMS:
        hits = list(map(hits_of, queries, found[form]))
        pairs = list(zip(queries, hits, strict=True))
        right_Q = np.array([query.right_N[rows].mean() for query, rows in pairs])
        spoilt_Q = np.array([query.spoilt_N[rows].mean() for query, rows in pairs])
        metrics[f"precision_{form}"] = mean_with_interval(right_Q, keys)
        spoilt[form] = round(float(spoilt_Q.mean()), 4)
    chance = float(np.mean([query.right_N.mean() for query in queries]))
    details: dict[str, object] = {
        "queries": len(queries),
        "gallery": len(videos),
        "chance": round(chance, 4),
        "shows_excluded": spoilt,
        "example": f"{sentence(queries[0])}: {int(queries[0].right_N.sum())} right",
        "free": FREE,
        "strength": STRENGTH,
    }
    return metrics, details


def queries_of(scenes: Sequence[Scene]) -> list[Asked]:
    """Every pair of things of which some video shows both, and another the first alone."""
    shown = [
        {actor.thing.name for shot in scene.shots for actor in shot.actors} for scene in scenes
    ]
    names = sorted(set.union(*shown))
    shows = {name: np.array([name in each for each in shown]) for name in names}
    pairs = [
        Asked(wanted=one, excluded=other, shows_N=shows[one], spoilt_N=shows[other])
        for one in names
        for other in names
        if one != other and (shows[one] & shows[other]).any()
    ]
    return [pair for pair in pairs if pair.right_N.any()]


def worths(
    backbone: Backbone, queries: Sequence[Asked], clips_ND: Float32
) -> Mapping[str, list[Float64]]:
    """By form, what each clip is worth to each query [N]."""
    names = sorted({name for query in queries for name in (query.wanted, query.excluded)})
    rows = dict(zip(names, embed_texts(backbone, map(with_article, names)), strict=True))
    sentences_QD = embed_texts(backbone, map(sentence, queries))
    usual, wide_ND = Usual(clips_ND), clips_ND.astype(np.float64)
    found: dict[str, list[Float64]] = {form: [] for form in FORMS}
    for query, sentence_D in zip(queries, sentences_QD, strict=True):
        wanted_D, excluded_D = rows[query.wanted], rows[query.excluded]
        plain_N = wide_ND @ wanted_D
        penalties_N = calibrated(wanted_D, excluded_D[None], usual).penalties(clips_ND, plain_N)
        found["plain"].append(plain_N)
        found["operator"].append(plain_N - penalties_N)
        found["subtraction"].append(plain_N - wide_ND @ excluded_D)
        found["sentence"].append(wide_ND @ sentence_D)
    return found


def hits_of(query: Asked, worth_N: Float64) -> list[int]:
    """Rows of the first hits, at most ten; of equal ones the wrong come first."""
    count = min(MOST_HITS, int(query.right_N.sum()))
    order = np.lexsort((query.right_N, -worth_N))[:count]
    return [int(row) for row in order]


def sentence(query: Asked) -> str:
    """`a dog without a ball`."""
    return f"{with_article(query.wanted)} without {with_article(query.excluded)}"


if __name__ == "__main__":
    main()
