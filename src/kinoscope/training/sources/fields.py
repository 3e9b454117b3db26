"""Values of annotations, checked one by one: texts, numbers, spans. Each may be hostile."""

import math
from collections.abc import Mapping
from typing import Any

from kinoscope.documents import MAX_TEXT_BYTES
from kinoscope.errors import UsageError
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Mismatch, Moment, Question
from kinoscope.types import Span

LONGEST_S = 48 * 3600.0
"""No video is longer: `DecodeLimits` drops what claims a later time."""

_SLACK_S = 1.0  # durations and spans are rounded, each in its own way


def text(value: object, what: str) -> str:
    """A string with something in it, without the blanks around it."""
    if not isinstance(value, str):
        raise Unfit("type", f"{what} is of type {type(value).__name__}: give a string")
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise Unfit("encoding", f"{what} {value[:40]!r} is not UTF-8: save it as such") from None
    if size_bytes > MAX_TEXT_BYTES:
        raise Unfit("size", f"{what} has {size_bytes} bytes: give at most {MAX_TEXT_BYTES}")
    if not value.strip():
        raise Unfit("text", f"{what} is empty: fill it in or remove it")
    return value.strip()


def number(value: object, what: str) -> float:
    """Finite, 0 to 48 hours; a string is read as one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("type", f"{what} is of type {type(value).__name__}: give a number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise Unfit("type", f"{what} {str(value)[:40]!r}: give a number") from None
    if not (math.isfinite(found) and 0 <= found <= LONGEST_S):
        raise Unfit("number", f"{what} {found}: give seconds from 0 to {LONGEST_S:.0f}")
    return found


def duration(value: object) -> float | None:
    """Seconds; None where nothing is said."""
    if value is None or value == "":
        return None
    found = number(value, "the duration")
    if not found:
        raise Unfit("number", "a duration of 0 s: give the video's length, or nothing")
    return found


def span(start: object, end: object, duration_s: float | None) -> Span:
    """Seconds inside the video; up to 1 s beyond its end is taken for rounding and cut off."""
    start_s, end_s = number(start, "the start"), number(end, "the end")
    if duration_s is not None:
        if start_s >= duration_s or end_s > duration_s + _SLACK_S:
            raise Unfit(
                "span", f"span [{start_s}, {end_s}) is outside the video of {duration_s} s: mend it"
            )
        end_s = min(end_s, duration_s)
    try:
        return Span(start_s, end_s)
    except UsageError as error:
        raise Unfit("span", str(error)) from None


def texts(value: object, what: str, problems: Problems, where: str) -> tuple[str, ...]:
    """One string or a list of them; empty for None; unfit ones are noted and left out."""
    found = []
    for entry in _listed(value, what, problems, where):
        with problems.at(where):
            found.append(text(entry, what))
    return tuple(dict.fromkeys(found))


def moments(
    value: object, duration_s: float | None, problems: Problems, where: str
) -> tuple[Moment, ...]:
    """From a list of `{"text", "start_s", "end_s"}`."""
    found = []
    for entry in _listed(value, "moments", problems, where):
        with problems.at(where):
            parts = _named(entry, "a moment", {"text", "start_s", "end_s"})
            when = span(parts["start_s"], parts["end_s"], duration_s)
            found.append(Moment(text(parts["text"], "a moment's text"), when))
    return tuple(found)


def questions(value: object, problems: Problems, where: str) -> tuple[Question, ...]:
    """From a list of `{"question", "answer"}`, with `options` or without."""
    found = []
    for entry in _listed(value, "questions", problems, where):
        with problems.at(where):
            parts = _named(entry, "a question", {"question", "answer"}, {"options"})
            found.append(question(parts["question"], parts["answer"], parts.get("options")))
    return tuple(found)


def question(asked: object, answer: object, options: object = None) -> Question:
    """A question; `options` is None or a list of strings with the answer among them."""
    right = text(answer, "the answer")
    if options is None:
        return Question(text(asked, "the question"), right)
    if not isinstance(options, list):
        raise Unfit("type", f"options are of type {type(options).__name__}: give a list")
    choices = tuple(text(option, "an option") for option in options)
    if choices.count(right) != 1 or len(set(choices)) != len(choices):
        raise Unfit(
            "type", f"options {list(choices)} of the answer {right!r}: give it once, each differs"
        )
    return Question(text(asked, "the question"), right, choices)


def mismatches(
    value: object, caption: str | None, problems: Problems, where: str
) -> tuple[Mismatch, ...]:
    """From a list of `{"wrong", "why"}`, with `true` or without: it is then a caption."""
    found = []
    for entry in _listed(value, "mismatches", problems, where):
        with problems.at(where):
            parts = _named(entry, "a mismatch", {"wrong", "why"}, {"true"})
            wrong, why = text(parts["wrong"], "what is wrong"), text(parts["why"], "why")
            found.append(Mismatch(wrong, text(parts.get("true", caption), "what is true"), why))
    return tuple(found)


def _listed(value: object, what: str, problems: Problems, where: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return value
    problems.add("type", where, f"{what} of type {type(value).__name__}: give a list")
    return []


def _named(
    entry: object,
    what: str,
    needed: set[str],
    allowed: set[str] = frozenset(),  # type: ignore[assignment]
) -> Mapping[str, Any]:
    names = set(entry) if isinstance(entry, dict) else set()
    if not isinstance(entry, dict) or not needed <= names <= needed | allowed:
        raise Unfit("type", f"{what} without {', '.join(sorted(needed))} alone: give these fields")
    return entry
