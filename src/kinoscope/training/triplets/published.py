"""Readers of published triplets: SimCSE's NLI file, TARA's CSV, WebVid-CoVR's pairs, our own files.

Columns `sent0,sent1,hard_neg` are anchor, positive and hard negative (SimCSE, arXiv 2104.08821;
TARA, arXiv 2512.13511); a composed anchor is `Source: ...; Edit: ...`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import fingerprint_of
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.rows import csv_rows, jsonl_rows
from kinoscope.training.triplets.filters import require_clean
from kinoscope.training.triplets.matching import find
from kinoscope.training.triplets.negators import denies, negators_in
from kinoscope.training.triplets.triplet import PARTS, Part, Triplet, unlike

MOST_CHARS = 1000
"""Of one sentence: what is longer is no caption, and 32 tokens of it are read anyway."""
MOST_TRIPLETS = 2_000_000

_COMPOSED = re.compile(
    r"source(?: \w+)?:\s*(.*?)\s*;?\s*\bedit(?: \w+)?:\s*(.*)", re.IGNORECASE | re.DOTALL
)
_CSV = {"part", "why"}


class ReadTriplets:
    """Triplets of a file, in an order that has nothing to do with the file's."""

    def __init__(
        self,
        name: str,
        triplets: Sequence[Triplet],
        *,
        overlaps: Sequence[str],
        fingerprint: str,
        problems: Problems,
    ) -> None:
        """Raises `UsageError` if there is none."""
        self.name, self.overlaps = name, tuple(overlaps)
        self.fingerprint, self.problems = fingerprint, problems
        if not triplets:
            raise UsageError(f"{name} has no triplet that can be used: {problems.describe()}")
        self._parts: dict[Part, list[Triplet]] = {part: [] for part in PARTS}
        for triplet in Random(0).sample(triplets, len(triplets)):
            self._parts[triplet.part].append(triplet)

    def __repr__(self) -> str:
        counts = {part: len(found) for part, found in self._parts.items() if found}
        return f"ReadTriplets({self.name}, {counts})"

    def of(self, part: Part, count: int) -> Sequence[Triplet]:
        """See `TripletSource`."""
        return self._parts[part][:count]


def read_triplets(file: Path, *, overlaps: Sequence[str], strict: bool = False) -> ReadTriplets:
    """A `.csv` with `sent0,sent1,hard_neg`, or a `.jsonl` as `write_triplets` makes it.

    A triplet's part is what its column says; else composed for an edit, negation where the hard
    negative alone negates explicitly, time where it has the opposite verb, core for all others.

    Args:
        overlaps: benchmarks whose test texts may be among these; `()` says that none are.
        strict: raise `UsageError` at the first unfit row, instead of keeping it in `problems`.

    Raises `UsageError` for an unreadable file, a CSV without its header, or if nothing is left.
    """
    readers: Mapping[str, Callable[[Path, Problems], Iterator[tuple[str, dict[str, Any]]]]] = {
        ".csv": lambda path, problems: csv_rows(
            path, problems, needed=["sent0", "sent1", "hard_neg"], known=_CSV
        ),
        ".jsonl": jsonl_rows,
    }
    read = readers.get(file.suffix.lower())
    if read is None:
        raise UsageError(f"{file} is neither .csv nor .jsonl: rename or convert it")
    problems = Problems(file.name, strict=strict)
    parsed = _of_row if file.suffix.lower() == ".csv" else _of_object
    return _source(file, read(file, problems), parsed, overlaps, problems)


def read_covr(file: Path, *, strict: bool = False) -> ReadTriplets:
    """WebVid-CoVR's training CSV, `txt1,txt2,edit`: the negative is the source, unedited.

    Never give it the test file. Raises `UsageError` as `read_triplets` does.
    """
    problems = Problems(file.name, strict=strict)
    rows = csv_rows(file, problems, needed=["txt1", "txt2", "edit"])
    return _source(file, rows, _of_covr, ("WebVid-CoVR", "Dense-WebVid-CoVR"), problems)


def checked(values: Mapping[str, object], part: Part | None, why: str = "") -> Triplet:
    """A triplet of untrusted values `anchor`, `edit`, `positive`, `negative`; raises `Unfit`."""
    names = {"anchor": "the anchor", "positive": "the positive", "negative": "the hard negative"}
    texts = {name: _sentence(values.get(name), what) for name, what in names.items()}
    edit = values.get("edit")
    instruction = "" if edit in (None, "") else _sentence(edit, "the edit")
    known: Part = part or ("composed" if instruction else _part(**texts))
    if bool(instruction) != (known == "composed"):
        raise Unfit("type", f"part {known} with edit {instruction[:40]!r}: composed ones have one")
    complaint = unlike("" if instruction else texts["anchor"], texts["positive"], texts["negative"])
    if complaint is not None:
        raise Unfit("same", f"{complaint}, {texts['positive'][:80]!r}: change or remove it")
    if instruction and texts["anchor"].casefold() == texts["positive"].casefold():
        raise Unfit("same", f"the edit {instruction[:80]!r} changes nothing: remove it")
    return require_clean(
        Triplet(**texts, edit=instruction, part=known, why=why or _why(known, texts["negative"]))
    )


def bounded(file: Path, triplets: Iterable[Triplet]) -> list[Triplet]:
    """All of them; `UsageError` for more than fit into memory."""
    found = list(islice(triplets, MOST_TRIPLETS + 1))
    if len(found) > MOST_TRIPLETS:
        raise UsageError(f"{file} has over {MOST_TRIPLETS} triplets: give a part of it")
    return found


def _source(
    file: Path,
    rows: Iterator[tuple[str, dict[str, Any]]],
    parsed: Callable[[Mapping[str, Any]], Triplet],
    overlaps: Sequence[str],
    problems: Problems,
) -> ReadTriplets:
    def triplets() -> Iterator[Triplet]:
        known: set[int] = set()
        for where, row in rows:
            found: list[Triplet] = []
            with problems.at(where):
                found.append(_new(parsed(row), known))
            yield from found

    found = bounded(file, triplets())
    return ReadTriplets(
        file.stem,
        found,
        overlaps=overlaps,
        fingerprint=fingerprint_of([file]),
        problems=problems,
    )


def _new(triplet: Triplet, known: set[int]) -> Triplet:
    """The triplet, unless one that is equal was there; raises `Unfit`."""
    if hash(triplet) in known:
        raise Unfit("duplicate", f"{triplet.anchor[:80]!r} was there before: remove it")
    known.add(hash(triplet))
    return triplet


def _of_row(row: Mapping[str, Any]) -> Triplet:
    anchor = str(row["sent0"])
    bounded_text = anchor if len(anchor) < 3 * MOST_CHARS else ""
    composed = _COMPOSED.fullmatch(" ".join(bounded_text.split()))
    values = {"anchor": anchor, "positive": row["sent1"], "negative": row["hard_neg"]}
    if composed is not None:
        values |= {"anchor": composed[1], "edit": composed[2]}
    return checked(values, _named_part(row.get("part") or None), str(row.get("why") or ""))


def _of_object(values: Mapping[str, Any]) -> Triplet:
    why = values.get("why")
    return checked(
        values,
        _named_part(values.get("part")),
        "" if why is None else fields.text(why, "why"),
    )


def _of_covr(row: Mapping[str, Any]) -> Triplet:
    values = {"anchor": row["txt1"], "edit": row["edit"], "positive": row["txt2"]}
    if not str(row["edit"]).strip():
        raise Unfit("text", "the edit is empty: fill it in or remove the row")
    return checked({**values, "negative": row["txt1"]}, "composed", "edit: not applied")


def _named_part(name: object) -> Part | None:
    if name is None:
        return None
    if name not in PARTS:
        raise Unfit("type", f"part {str(name)[:40]!r}: choose {', '.join(PARTS)}")
    return name


def _sentence(value: object, what: str) -> str:
    said = fields.text(value, what)
    if len(said) > MOST_CHARS:
        raise Unfit("size", f"{what} has {len(said)} characters: give at most {MOST_CHARS}")
    return said


def _part(anchor: str, positive: str, negative: str) -> Part:
    if denies(negative, anchor, positive):
        return "negation"
    one, other = find(anchor), find(negative)
    return "time" if one is not None and other is not None and one.opposed(other) else "core"


def _why(part: Part, negative: str) -> str:
    if part == "negation":
        return f"negation: {(*negators_in(negative), 'taken back')[0]}"
    return {"time": "opposite action", "composed": "edit: not applied"}.get(part, "as published")
