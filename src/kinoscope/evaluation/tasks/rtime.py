"""RTime: a video against itself played backwards (arXiv 2412.19178)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.metrics.choices import right_wins, tied_pairs
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import (
    Benchmark,
    Files,
    Film,
    Model,
    Options,
    TaskResult,
)
from kinoscope.evaluation.tasks.recalls import Asked, own, row_dots
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import entries, json_document
from kinoscope.types import Float32, Float64

_FORWARD = ("forward_caption", "forward_captions")
_REVERSE = ("reverse_caption", "reverse_captions", "reversed_caption")


@dataclass(frozen=True, eq=False)
class BothWays:
    """Unit vectors [N, D] of as many videos and their captions, forwards and backwards."""

    names: list[str]
    videos: tuple[Float32, Float32]
    texts: tuple[Float32, Float32]


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """Reads the files and asks all three forms: binary, 1 K, and 2 K with the reversals."""
    found = Films(files["videos"], files["captions"], options.limit)
    films: dict[Film, tuple[str, str]] = {}
    for where, entry in _entries(files, found.problems):
        with found.problems.at(where):
            film = found.find(entry.get("video_id"))
            told = [_caption(entry, names) for names in (_FORWARD, _REVERSE)]
            if film in films:
                found.problems.add("duplicate", where, f"{film.id} was there before: remove one")
            films.setdefault(film, (told[0], told[1]))
    if not films:
        raise UsageError(f"no video has both captions: {found.problems.describe()}")
    encoder, listed = Encoder(model), list(films)
    forward = encoder.films(listed)
    backward = encoder.films([found.reversal(film) for film in listed])
    kept = sorted(set(forward.places) & set(backward.places))
    both = BothWays(
        [listed[place].id for place in kept],
        (forward.at(kept), backward.at(kept)),
        (
            encoder.texts([films[listed[place]][0] for place in kept]),
            encoder.texts([films[listed[place]][1] for place in kept]),
        ),
    )
    asked = galleries(both, options)
    values = binary(both)
    for name, each in asked.items():
        values |= each.recalls(name)
    return TaskResult(
        values=values,
        protocol={"videos": len(kept), "chance_binary": 0.5, "ties": "count as wrong"},
        left_out=found.left_out(encoder, found.rows_without_video + len(films) - len(kept)),
        rankings={name: each.rankings() for name, each in asked.items()},
    )


def binary(both: BothWays) -> dict[str, PerQuery]:
    """`binary_t2v`: the caption's own video above its reversal; `binary_v2t`: the video's own
    caption above its reversal's."""
    names, (videos_ND, turned_ND), (texts_ND, other_ND) = both.names, both.videos, both.texts
    right_N = row_dots(texts_ND, videos_ND)
    wrong = {"t2v": row_dots(texts_ND, turned_ND), "v2t": row_dots(other_ND, videos_ND)}
    values = {}
    for way, wrong_N in wrong.items():
        values[f"binary_{way}"] = _of(names, right_wins(right_N, wrong_N, rounding=ROUNDING))
        values[f"binary_{way}_tied"] = _of(names, tied_pairs(right_N, wrong_N, rounding=ROUNDING))
    return values


def galleries(both: BothWays, options: Options) -> dict[str, Asked]:
    """Both ways among forward videos (`1k`), and among all (`2k`)."""
    names = both.names
    every = [*names, *(f"{name}-reverse" for name in names)]
    found = {}
    for size, (t_ND, v_ND), queries in (
        ("1k", (both.texts[0], both.videos[0]), names),
        ("2k", (np.concatenate(both.texts), np.concatenate(both.videos)), every),
    ):
        about = [*names, *names][: len(queries)]
        for way, scores_QN in (("t2v", t_ND @ v_ND.T), ("v2t", v_ND @ t_ND.T)):
            found[f"{way}_{size}"] = Asked(
                scores_QN=scores_QN,
                positives=own(len(queries)),
                queries=queries,
                videos=about,
                items=queries,
            )
    return {name: each.scored(options) for name, each in found.items()}


def _of(names: list[str], values_N: Float64) -> PerQuery:
    return PerQuery(queries=tuple(names), videos=tuple(names), values_Q=values_N)


def _entries(files: Files, problems: Problems) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A list of objects with `video_id`, or an object of them by id."""
    document = json_document(files["captions"])
    if isinstance(document, dict):
        pairs = document.items()
        document = [{**e, "video_id": v} if isinstance(e, dict) else e for v, e in pairs]
    return entries(document, problems, "entry")


def _caption(entry: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first one of a direction, given alone or in a list."""
    said = next((entry[name] for name in names if name in entry), None)
    return fields.text(said[0] if isinstance(said, list) and said else said, f"the {names[0]}")


BENCHMARKS: Mapping[str, Benchmark] = {
    "rtime": Benchmark(
        files={"captions": "test.json", "videos": "videos"},
        run=run,
        source="arXiv 2412.19178",
        galleries=True,
    )
}
