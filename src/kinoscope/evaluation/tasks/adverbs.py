"""Adverbs: an action done in this manner or in the opposite one (PseudoAdverbs, CVPR 2022)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from kinoscope.evaluation.tasks.recalls import row_dots
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows
from kinoscope.types import Float32, Float64

WORDING = "The action {action} is performed {adverb}."
"""As in the published measurements of multimodal LLMs (arXiv 2512.13511)."""


@dataclass(frozen=True)
class Manner:
    """An action on film, how it is done, and how it is not."""

    name: str
    film: Film
    action: str
    adverb: str
    antonym: str


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """How often the adverb is nearer to the video than its antonym; a tie counts as wrong."""
    found = Films(files["videos"], files["annotations"], options.limit)
    listed = {each.name: each for each in _read(files, found)}
    if not listed:
        raise UsageError(f"no action has an adverb: {found.problems.describe()}")
    encoder, manners = Encoder(model), list(listed.values())
    videos = encoder.films([each.film for each in manners])
    asked = [manners[place] for place in videos.places]
    words = [each.adverb for each in asked], [each.antonym for each in asked]
    right_N, wrong_N = (_nearness(encoder, asked, each, videos.vectors_ND) for each in words)
    values = {
        name: PerQuery(
            queries=tuple(each.name for each in asked),
            videos=tuple(each.film.id for each in asked),
            values_Q=measure(right_N, wrong_N, rounding=ROUNDING),
        )
        for name, measure in (("accuracy", right_wins), ("tied", tied_pairs))
    }
    protocol = {"wording": WORDING, "video": "alone", "chance": 0.5, "ties": "count as wrong"}
    lost = found.rows_without_video + len(manners) - len(asked)
    return TaskResult(values=values, protocol=protocol, left_out=found.left_out(encoder, lost))


def _nearness(
    encoder: Encoder, asked: Sequence[Manner], adverbs: Sequence[str], videos_ND: Float32
) -> Float64:
    """Cosines [N] of videos with their actions, each done in a manner."""
    pairs = zip(asked, adverbs, strict=True)
    texts = [WORDING.format(action=each.action, adverb=adverb) for each, adverb in pairs]
    return row_dots(encoder.texts(texts), videos_ND)


def _read(files: Files, found: Films) -> Iterator[Manner]:
    """`clip_id,...,clustered_action,clustered_adverb`, and `adverb,antonym` beside."""
    rows = csv_rows(files["adverbs"], found.problems, needed=["adverb", "antonym"])
    opposite = {row["adverb"].strip(): row["antonym"] for _, row in rows}
    seen: set[str] = set()
    needed = ["clip_id", "clustered_action", "clustered_adverb"]
    for where, row in csv_rows(files["annotations"], found.problems, needed=needed):
        with found.problems.at(where):
            adverb = fields.text(row["clustered_adverb"], "the adverb")
            if adverb not in opposite:
                raise Unfit("id", f"{adverb[:40]!r} has no antonym in {files['adverbs'].name}")
            film = found.find(row["clip_id"])
            action = fields.text(row["clustered_action"], "the action")
            name = f"{film.id}#{action} {adverb}"
            if name in seen:
                raise Unfit("duplicate", f"{name[:80]} was there before: remove one")
            seen.add(name)
            antonym = fields.text(opposite[adverb], "the antonym")
            yield Manner(name, film, action, adverb, antonym)


BENCHMARKS: Mapping[str, Benchmark] = {
    f"{name}-adverbs": Benchmark(
        files={"annotations": "annotations.csv", "adverbs": "adverbs.csv", "videos": "videos"},
        run=run,
        source="github.com/hazeldoughty/PseudoAdverbs",
    )
    for name in ("vatex", "msrvtt", "activitynet")
}
