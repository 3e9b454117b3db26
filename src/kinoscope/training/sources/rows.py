"""Lines of annotation files, each bounded, and the items that they add up to."""

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from kinoscope.errors import UsageError
from kinoscope.training.sources.folder import Item, VideoFolder
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Example

_LINE = 2**22
"""Characters of the longest line that is read."""
_DOCUMENT_BYTES = 2**30


class Gathering:
    """Items in the order in which their videos first appear.

    A row with a key is a video of its own, and its key unique. Rows without one add up to one item
    a video, whose key is the video's path; a text that comes again is a duplicate.
    """

    def __init__(self, videos: VideoFolder) -> None:
        self._videos = videos
        self._items: dict[str, Item] = {}
        self._found: dict[str, str | Unfit] = {}
        self._keyed: set[str] = set()

    @property
    def items(self) -> tuple[Item, ...]:
        """All of them."""
        return tuple(self._items.values())

    def file(self, video: str) -> str:
        """Its path below the folder; raises `Unfit`. Looked for once."""
        if video not in self._found:
            try:
                self._found[video] = self._videos.find(video)
            except Unfit as error:
                self._found[video] = error
        found = self._found[video]
        if isinstance(found, Unfit):
            raise Unfit(found.kind, str(found))
        return found

    def add(
        self, video: str, known: Example, *, keyed: bool = False, repeats: bool = False
    ) -> None:
        """Takes a row on a video; the key of `known` counts only if `keyed`.

        Raises `Unfit` for one that has no file, says nothing, or, unless it `repeats`, nothing new.
        """
        file = self.file(video)
        key = known.key if keyed else file
        old = self._items.get(key)
        if old is not None and (keyed or key in self._keyed):
            raise Unfit(
                "duplicate", f"the key {key[:200]!r} was there before: each names one video"
            )
        if not _says(known):
            raise Unfit("text", f"nothing is said of {video[:200]}: add a text or remove the row")
        if keyed:
            self._keyed.add(key)
        merged = replace(known, key=key) if old is None else _merged(old.example, known)
        if old is not None and merged == old.example and not repeats:
            raise Unfit("duplicate", f"all that it says of {key[:200]} was said before: remove it")
        self._items[key] = Item(merged, file)


def _merged(old: Example, new: Example) -> Example:
    """Both together, each text once."""
    names = ("captions", "details", "questions", "moments", "mismatches", "edits")
    parts: dict[str, Any] = {
        name: tuple(dict.fromkeys((*getattr(old, name), *getattr(new, name)))) for name in names
    }
    return replace(old, **parts, duration_s=old.duration_s or new.duration_s)


def _says(known: Example) -> bool:
    parts = (known.captions, known.details, known.questions, known.moments, known.mismatches)
    return any(parts) or bool(known.edits)


def csv_rows(
    path: Path, problems: Problems, *, needed: Collection[str], known: Collection[str] | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Lines of a CSV with a header, as (`line 7`, values by column).

    Columns beyond `needed` and `known` are noted; None knows all. Raises `UsageError` for a file
    that cannot be read or has no such header.
    """
    with _opened(path, newline="") as stream:
        lines = _Lines(stream, problems)
        reader = csv.reader(lines)
        names = [name.strip() for name in _next_row(reader, lines, problems) or []]
        _check_header(path, names, needed)
        for name in names if known is not None else ():
            if name not in needed and name not in (known or ()):
                problems.add("field", "line 1", f"the column {name[:80]!r} is unknown: passed over")
        while (row := _next_row(reader, lines, problems)) is not None:
            where = f"line {lines.first}"
            if row and len(row) != len(names):
                message = f"{len(row)} fields, the header has {len(names)}: mend the quoting"
                problems.add("type", where, message)
            elif row:
                yield where, dict(zip(names, row, strict=True))


def jsonl_rows(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSONL file, as (`line 7`, object); `UsageError` for an unreadable file."""
    with _opened(path, newline="\n") as stream:
        lines = _Lines(stream, problems)
        found: list[tuple[str, dict[str, Any]]] = []
        for line in lines:
            where = f"line {lines.number}"
            if not line.strip():
                continue
            with problems.at(where):
                found.append((where, json_object(line)))
            yield from found
            found.clear()


def json_object(line: str) -> dict[str, Any]:
    """One object; raises `Unfit` for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unfit("type", f"no JSON ({error}): write one object a line") from None
    if not isinstance(found, dict):
        raise Unfit("type", f"a {type(found).__name__}, no object: write one object a line")
    return found


def json_document(path: Path) -> Any:
    """A whole JSON file of at most 1 GiB; `UsageError` for anything else."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _DOCUMENT_BYTES:
            raise UsageError(f"{path} has {size_bytes} bytes: give at most {_DOCUMENT_BYTES}")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON ({error}): download it again") from error


def text_lines(path: Path, problems: Problems) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, as (`line 7`, text)."""
    with _opened(path, newline="\n") as stream:
        lines = _Lines(stream, problems)
        for line in lines:
            if line.strip():
                yield f"line {lines.number}", line.strip()


def entries(
    value: object, problems: Problems, what: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Objects of a list, as (`videos 7`, object); others are noted."""
    if not isinstance(value, list):
        raise UsageError(f"{what} is of type {type(value).__name__}, not a list: another file?")
    for number, entry in enumerate(value):
        if isinstance(entry, dict):
            yield f"{what} {number}", entry
        else:
            problems.add(
                "type", f"{what} {number}", f"a {type(entry).__name__}, no object: mend it"
            )


class _Lines:
    """Iterates over lines of bearable length; `number` is the last one's, `first` of the row."""

    def __init__(self, stream: TextIO, problems: Problems) -> None:
        self._stream, self._problems = stream, problems
        self.number = self.first = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while line := self._stream.readline(_LINE + 1):
            self.number += 1
            if len(line) <= _LINE:
                return line
            while line and not line.endswith("\n"):
                line = self._stream.readline(_LINE)
            message = f"over {_LINE} characters: passed over"
            self._problems.add("size", f"line {self.number}", message)
        raise StopIteration


def _next_row(reader: Iterator[list[str]], lines: _Lines, problems: Problems) -> list[str] | None:
    """None at the end; a row that is none is noted."""
    while True:
        lines.first = lines.number + 1
        try:
            return next(reader)
        except StopIteration:
            return None
        except csv.Error as error:
            problems.add("size", f"line {lines.first}", f"{error}: mend the quoting, or shorten it")


def _check_header(path: Path, names: list[str], needed: Iterable[str]) -> None:
    absent = [name for name in needed if name not in names]
    if absent:
        shown = ", ".join(names)[:200] or "nothing"
        raise UsageError(
            f"{path} has no column {absent[0]!r}: its first line must name columns, and has {shown}"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{path} has the column {twice[0]!r} twice: rename one")


def _opened(path: Path, newline: str) -> TextIO:
    """Bytes that are not UTF-8 come as surrogates, by which their row alone is found unfit."""
    try:
        if not path.is_file():  # to open a pipe would wait for its writer
            raise UsageError(f"{path} is no file: check the path")
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path") from error
