"""Triplets of opposite actions out of Ego4D's narrations.

Two narrations of one action on one thing are anchor and positive; the anchor with its verb turned
round is the hard negative (TARA, arXiv 2512.13511, its time data).
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.training.english import capitalized
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import fingerprint_of
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.rows import entries, json_document
from kinoscope.training.triplets.filters import same_noun
from kinoscope.training.triplets.matching import Found, find, turned_round
from kinoscope.training.triplets.published import MOST_CHARS, ReadTriplets, bounded, checked
from kinoscope.training.triplets.triplet import Triplet

OVERLAPS = ("Ego4D", "EgoCVR")
_WEARER = re.compile(r"#c\s+c\s+(.+)", re.IGNORECASE | re.DOTALL)
_UNSURE = re.compile(r"#\s*unsure", re.IGNORECASE)
_SPARE = 10
"""Narrations kept for each triplet of an action."""
_PASSES = ("narration_pass_1", "narration_pass_2")

Action = tuple[int, int, str]


def read_ego4d(file: Path, *, most_alike: int = 20, strict: bool = False) -> ReadTriplets:
    """`narration.json`: `{"videos": {uid: {"narration_pass_1": {"narrations": [...]}}}}`.

    Only what the wearer does (`#C C ...`) is read. Narrations whose verb has no opposite in
    `words/recognised.txt`, or that name no object, are passed over; unfit ones are noted.

    Args:
        most_alike: triplets of one action on one thing: some are done in every video.
        strict: raise `UsageError` at the first unfit narration instead.

    Raises `UsageError` for a file of another layout, or if nothing is left.
    """
    if most_alike < 1:
        raise UsageError(f"{most_alike} triplets of one action: choose 1 or more")
    problems = Problems(file.name, strict=strict)
    actions: dict[Action, dict[str, Found]] = {}
    for said, found in _narrations(file, problems):
        key = (found.wording.line, found.wording.side, found.object)
        alike = actions.setdefault(key, {})
        if len(alike) < _SPARE * most_alike:  # millions of narrations tell of few actions
            alike[said] = found
    triplets = (
        triplet for alike in actions.values() for triplet in islice(_of_action(alike), most_alike)
    )
    return ReadTriplets(
        f"Ego4D {file.stem}",
        bounded(file, triplets),
        overlaps=OVERLAPS,
        fingerprint=fingerprint_of([file], str(most_alike)),
        problems=problems,
    )


def spoken(narration: str) -> str | None:
    """`#C C picks up a cup` as a sentence; None where somebody else acts; raises `Unfit`."""
    wearer = _WEARER.match(narration.strip())
    if wearer is None:
        return None
    if _UNSURE.search(narration):
        raise Unfit("text", f"{narration[:80]!r}: the annotator was unsure")
    return capitalized(f"a person {wearer[1].strip()}")


def _narrations(file: Path, problems: Problems) -> Iterator[tuple[str, Found]]:
    """Sentences with a verb that has an opposite and with an object."""
    document = json_document(file)
    videos = document.get("videos", document) if isinstance(document, dict) else None
    if not isinstance(videos, dict):
        raise UsageError(f"{file} is no object of videos: give Ego4D's narration.json")
    for uid, video in videos.items():
        for name in _PASSES:
            told = video.get(name) if isinstance(video, dict) else None
            listed = told.get("narrations", []) if isinstance(told, dict) else []
            for where, entry in entries(listed, problems, f"{uid} {name}"):
                heard: list[str] = []
                with problems.at(where):
                    heard.extend(_said(entry))
                for said in heard:
                    found = find(said)
                    if found is not None and found.object:
                        yield said, found


def _said(entry: Mapping[str, object]) -> tuple[str, ...]:
    """One sentence, or none where somebody else acts; raises `Unfit`."""
    text = fields.text(entry.get("narration_text"), "the narration")
    if len(text) > MOST_CHARS:
        raise Unfit("size", f"a narration of {len(text)} characters: give at most {MOST_CHARS}")
    said = spoken(text)
    return () if said is None else (said,)


def _of_action(alike: Mapping[str, Found]) -> Iterator[Triplet]:
    """Each narration with the next that names no other place."""
    texts = list(alike)
    for number, anchor in enumerate(texts):
        found = alike[anchor]
        later = (*texts[number + 1 : number + 10], *texts[: max(0, number - 1)][:3])
        fitting = (text for text in later if _together(found, alike[text]))
        positive = next(fitting, None)
        if positive is None:
            continue
        values = {"anchor": anchor, "positive": positive, "negative": turned_round(found)}
        try:
            yield checked(values, "time", f"opposite action: {_names(found)}")
        except Unfit:  # two that do not go together are no fault of the file
            continue


def _together(one: Found, other: Found) -> bool:
    return not (one.place and other.place) or same_noun(one.place, other.place)


def _names(found: Found) -> str:
    other = find(turned_round(found))
    named = [found.wording, *([] if other is None else [other.wording])]
    return " / ".join(f"{wording.verb} {wording.particle}".strip() for wording in named)
