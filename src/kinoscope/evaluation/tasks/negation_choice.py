"""NegBench's choice of four captions, of which three are wrong (arXiv 2501.09425)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.metrics.choices import picked
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.negation import file_names
from kinoscope.evaluation.tasks.protocol import (
    Benchmark,
    Files,
    Film,
    Model,
    Options,
    TaskResult,
)
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows

_OPTIONS = tuple(f"caption_{number}" for number in range(4))


@dataclass(frozen=True)
class Choice:
    """Four captions of a film; `kind` is that of the right one (positive, negative, hybrid)."""

    name: str
    film: Film
    captions: tuple[str, ...]
    right: int
    kind: str


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """Accuracy of the nearest caption, of all choices and by kind; a tie counts as wrong."""
    found = Films(files["videos"], files["questions"], options.limit)
    choices = list(_choices(files, found))
    if not choices:
        raise UsageError(f"no question can be asked: {found.problems.describe()}")
    encoder = Encoder(model)
    videos = encoder.films([each.film for each in choices])
    asked = [choices[place] for place in videos.places]
    options_ND = encoder.texts([text for each in asked for text in each.captions])
    options_QKD = options_ND.reshape(len(asked), len(_OPTIONS), -1)
    scores_QK = np.einsum("qkd,qd->qk", options_QKD, videos.vectors_ND, dtype=np.float64)
    right_Q = picked(list(scores_QK), [each.right for each in asked], rounding=ROUNDING)
    parts = {"accuracy": list(range(len(asked)))}
    for row, each in enumerate(asked):
        if each.kind:
            parts.setdefault(f"accuracy_{each.kind}", []).append(row)
    values = {
        name: PerQuery(
            queries=tuple(asked[row].name for row in rows),
            videos=tuple(asked[row].film.id for row in rows),
            values_Q=right_Q[rows],
        )
        for name, rows in parts.items()
    }
    return TaskResult(
        values=values,
        protocol={"questions": len(asked), "chance": 1 / len(_OPTIONS), "ties": "count as wrong"},
        left_out=found.left_out(encoder, found.rows_without_video + len(choices) - len(asked)),
    )


def _choices(files: Files, found: Films) -> Iterator[Choice]:
    needed = ["correct_answer", *_OPTIONS]
    for where, row in csv_rows(files["questions"], found.problems, needed=needed):
        with found.problems.at(where):
            film = found.find(*file_names(row))
            texts = tuple(fields.text(row[name], name) for name in _OPTIONS)
            right = row["correct_answer"].strip()
            if right not in ("0", "1", "2", "3") or len(set(texts)) < len(texts):
                told = f"answer {right[:20]!r} of {len(set(texts))} captions"
                raise Unfit("type", f"{told}: give 0 to 3 of four that differ")
            kind = row.get("correct_answer_template", "").strip().lower()
            yield Choice(f"{film.id}#{where.split()[-1]}", film, texts, int(right), kind)


BENCHMARKS: Mapping[str, Benchmark] = {
    f"negbench-{name}-mcq": Benchmark(
        files={"questions": f"{name}_mcq.csv", "videos": folder},
        run=run,
        source="arXiv 2501.09425",
    )
    for name, folder in (("msrvtt", "videos"), ("coco", "images"))
}
