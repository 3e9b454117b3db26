"""Pairs of temporally opposite events: told apart by nothing but what happens.

The protocol of CiA's chiral galleries (arXiv 2512.13511): a gallery holds the videos of an action
and of its opposite; a text names one of the two actions and no object; a text looks for a video of
its action, a video for the text of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import average_precisions, ranks
from kinoscope.evaluation.metrics.intervals import mean_over, redrawn
from kinoscope.evaluation.results import Metric
from kinoscope.training.world import WorldConfig, wordings
from kinoscope.training.world.captions import clause_alone
from kinoscope.training.world.events import EVENTS, PROPS
from kinoscope.training.world.grammar import Style
from kinoscope.training.world.scene import Actor, Background, Event, Pose, Shot, Split, Thing
from kinoscope.types import Bool, Float32, Float64, Int64

PAIRS: tuple[tuple[str, str], ...] = tuple(
    sorted((kind, known.opposite) for kind, known in EVENTS.items() if kind < known.opposite)
)
"""Events with their opposites, where these differ; `pair_name` is the first."""

NAMES = ("chiral_t2v_r1", "chiral_v2t_r1", "chiral_r1", "chiral_t2v_map")
_RESAMPLES = 400

_POSE = Pose(0.5, 0.5, 0.3)
_STYLES = 400


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """Videos of both kinds of one pair, and texts that name one of the two.

    Attributes:
        videos_ND: unit vectors.
        second_N: whether a video shows the pair's second kind.
        texts_W2D: unit vectors of W wordings for the first kind and for the second.
    """

    videos_ND: Float32
    second_N: Bool
    texts_W2D: Float32

    @cached_property
    def scores_W2N(self) -> Float32:
        """Cosines of all texts with all videos."""
        return self.texts_W2D @ self.videos_ND.T

    def __post_init__(self) -> None:
        if len(set(self.second_N.tolist())) != 2:
            raise UsageError(
                f"{len(self.second_N)} videos all show one kind of event: take more of them"
            )


def config_of(pair: tuple[str, str], world: WorldConfig) -> WorldConfig:
    """One shot with one event, of one of the two kinds."""
    return WorldConfig(
        duration_s=world.duration_s,
        sprites=world.sprites,
        nouns=world.nouns,
        max_actors=world.max_actors,
        clean=world.clean,
        kinds=pair,
        max_events=1,
        max_shots=1,
    )


def texts_of(pair: tuple[str, str], split: Split) -> list[tuple[str, str]]:
    """Each wording of the split for both kinds, of `a thing`: [("A thing recedes.", ...), ...]."""
    found: dict[tuple[str, str], None] = {}
    phrases = len(wordings.EVENT_PHRASES[pair[0]][split])
    for number in range(_STYLES):
        style = Style(split, number)
        one, other = (clause_alone(_shot(kind), _shot(kind).events[0], style) for kind in pair)
        found[one, other] = None
        if len(found) == phrases:
            return list(found)
    raise AssertionError(f"{len(found)} of {phrases} wordings for {pair}")


def chiral(
    galleries: Mapping[tuple[str, str], Gallery],
) -> tuple[dict[str, Metric], dict[str, object]]:
    """`chiral_t2v_r1`, `chiral_v2t_r1`, `chiral_r1`, the mean of both, and `chiral_t2v_map`.

    Each is a mean over pairs; its interval comes from drawing each pair's videos anew. A tie
    counts against the query. Chance of all is one half, both kinds' texts being asked; no two
    texts of a pair are equal, so the ceiling is 1. Details: both, and the figures of each pair.
    """
    tables = {
        pair: redrawn(
            partial(_figures, gallery),
            len(gallery.second_N),
            resamples=_RESAMPLES,
            seed=number,
        )
        for number, (pair, gallery) in enumerate(galleries.items())
    }
    details: dict[str, object] = {
        "chance": 0.5,
        "ceiling": 1.0,
        "pairs": {
            " ".join(pair): {
                "videos": table.n,
                "second_share": round(float(galleries[pair].second_N.mean()), 3),
                **dict(zip(NAMES, table.values_K.round(4).tolist(), strict=True)),
            }
            for pair, table in tables.items()
        },
    }
    return mean_over(list(tables.values())).metrics(NAMES), details


def _figures(gallery: Gallery, rows_N: Int64) -> Float64:
    """Of some of the videos, in the order of `NAMES` [4].

    Where all drawn are of one kind nothing is asked: chance stands for it.
    """
    second_N = gallery.second_N[rows_N]
    sides = [np.flatnonzero(~second_N), np.flatnonzero(second_N)]
    if not all(len(side_N) for side_N in sides):
        return np.full(len(NAMES), 0.5)
    scores_W2N = gallery.scores_W2N[..., rows_N]
    texts_QN = scores_W2N.reshape(-1, len(rows_N))
    right = [side_N.tolist() for side_N in sides] * len(scores_W2N)
    t2v = (ranks(texts_QN, right) == 1).mean()
    margins_WN = np.where(second_N, 1, -1) * (scores_W2N[:, 1] - scores_W2N[:, 0])
    v2t = (margins_WN > 0).mean()
    precision = average_precisions(texts_QN, right).mean()
    return np.array([t2v, v2t, (t2v + v2t) / 2, precision])


def _shot(kind: str) -> Shot:
    """In which the event happens to a thing without any property."""
    who = EVENTS[kind].who
    thing = Thing(kind="prop" if who in PROPS else "sprite", name="thing", category="")
    other = Thing(kind="sprite", name="second thing", category="")
    event = Event(
        kind=kind, actor=0, start_s=0.0, end_s=1.0, begin=_POSE, end=_POSE,
        other=1 if who == "pair" else None,
    )  # fmt: skip
    return Shot(
        start_s=0.0,
        end_s=1.0,
        background=Background(kind="plain", name="plain"),
        actors=tuple(Actor(thing=each, pose=_POSE) for each in (thing, other)),
        events=(event,),
    )
