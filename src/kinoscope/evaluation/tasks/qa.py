"""Questions on videos: the likeliest option, or an answer in words that is normalised."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.metrics.choices import NORMALISATION, same_answer
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Film, Model, TaskResult
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit


@dataclass(frozen=True)
class Asked:
    """A question on a film with its answer, which is one of the options, if there are any."""

    name: str
    film: Film
    question: str
    answer: str
    options: tuple[str, ...] = ()
    kind: str = ""


def checked(name: str, film: Film, told: tuple[object, object, object], kind: object = "") -> Asked:
    """From question, answer and options or None; raises `Unfit` for what cannot be asked."""
    said, answer, options = told
    question = fields.question(said, answer, options)
    if options is not None and len(question.options) < 2:
        raise Unfit("type", f"{len(question.options)} option: give two or more")
    return Asked(
        name, film, question.question, question.answer, question.options, str(kind).strip().lower()
    )


def answering(asked: Iterable[Asked], found: Films, model: Model) -> TaskResult:
    """`accuracy`, of all questions and by kind.

    With options the answer is the likeliest one; else the model's own words, right if they are the
    same after normalisation. A query that comes again with the same name is counted and left out.
    """
    questions: dict[str, Asked] = {}
    for each in asked:
        if each.name in questions:
            message = f"the question {each.name[:80]} was there before: remove one"
            found.problems.add("duplicate", each.name, message)
        questions.setdefault(each.name, each)
    if not questions:
        raise UsageError(f"no question can be asked: {found.problems.describe()}")
    encoder = Encoder(model)
    right: dict[str, float] = {}
    for each in questions.values():
        if each.film.id in encoder.failed:
            continue
        try:
            said = model.answer(each.film.path, each.question, options=each.options)
        except MediaError as error:
            encoder.failed[each.film.id] = str(error)
            continue
        same = said == each.answer if each.options else same_answer(said, each.answer)
        right[each.name] = float(same)
    if not right:
        reason = next(iter(encoder.failed.values()))
        raise UsageError(f"not one of {len(questions)} videos can be read: {reason}")
    kept = [questions[name] for name in right]
    lost = found.rows_without_video + len(questions) - len(kept)
    return TaskResult(
        values=_by_kind(kept, right),
        protocol={
            "questions": len(kept),
            "answers": "likeliest option" if kept[0].options else f"own words, {NORMALISATION}",
            "chance": _chance(kept),
        },
        left_out=found.left_out(encoder, lost),
    )


def _by_kind(asked: list[Asked], right: dict[str, float]) -> dict[str, PerQuery]:
    parts: dict[str, list[Asked]] = {"accuracy": asked}
    for each in asked:
        if each.kind:
            parts.setdefault(f"accuracy_{each.kind}", []).append(each)
    return {
        name: PerQuery(
            queries=tuple(each.name for each in some),
            videos=tuple(each.film.id for each in some),
            values_Q=np.array([right[each.name] for each in some]),
        )
        for name, some in parts.items()
    }


def _chance(asked: list[Asked]) -> float:
    """0 for answers in words."""
    return float(np.mean([1 / len(each.options) if each.options else 0.0 for each in asked]))
