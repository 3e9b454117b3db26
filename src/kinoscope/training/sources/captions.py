"""A folder of videos with a CSV or JSONL file of captions.

CSV: a header, then one text or several a line; columns `video` and any of `key`, `caption`,
`detail`, `duration_s`, `moment` with `start_s` and `end_s`, `question` with `answer`, `wrong` with
`why`. JSONL: an object a line with `video` and any of `key`, `caption`, `detail` (a string or a
list), `duration_s`, `moments`, `questions`, `mismatches` (lists of objects, see `fields`).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import FolderSource, VideoFolder, fingerprint_of
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Example, Mismatch, Moment
from kinoscope.training.sources.rows import Gathering, csv_rows, jsonl_rows

_GROUPS = (("moment", "start_s", "end_s"), ("question", "answer"), ("wrong", "why"))
_COLUMNS = {"key", "caption", "detail", "duration_s", *(name for g in _GROUPS for name in g)}
FIELDS = {"key", "caption", "detail", "duration_s", "moments", "questions", "mismatches"}


def read_captions(
    file: Path, videos: Path, *, overlaps: Sequence[str], strict: bool = False
) -> FolderSource:
    """Reads annotations; what is unfit is left out and in `source.problems`.

    Args:
        file: `.csv` or `.jsonl`.
        videos: the folder below which the videos lie; no path or link leads out of it.
        overlaps: benchmarks whose test texts or videos may be among these; `()` says that none are.
        strict: raise `UsageError` at the first unfit row instead.

    Raises `UsageError` for an unreadable file, a CSV without its header, or if nothing is left.
    """
    problems = Problems(file.name, strict=strict)
    gathering = Gathering(VideoFolder(videos))
    readers: dict[str, Callable[[Path, Gathering, Problems], None]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
    }
    read = readers.get(file.suffix.lower())
    if read is None:
        raise UsageError(f"{file} is neither .csv nor .jsonl: rename or convert it")
    read(file, gathering, problems)
    return FolderSource(
        file.stem,
        gathering.items,
        VideoFolder(videos),
        overlaps=overlaps,
        fingerprint=fingerprint_of([file]),
        problems=problems,
    )


def known_of(values: Mapping[str, Any], problems: Problems, where: str) -> Example:
    """What an object with `FIELDS` says; unfit texts are noted and left out, unknown fields too.

    Raises `Unfit` for a key or a duration that is none.
    """
    for name in sorted(map(str, set(values) - FIELDS)):
        problems.add("field", where, f"the field {name[:80]!r} is unknown: passed over")
    duration_s = fields.duration(values.get("duration_s"))
    key = values.get("key")
    captions = fields.texts(values.get("caption"), "the caption", problems, where)
    first = captions[0] if captions else None
    return Example(
        key="" if key is None else fields.text(key, "the key"),
        captions=captions,
        details=fields.texts(values.get("detail"), "the detail", problems, where),
        questions=fields.questions(values.get("questions"), problems, where),
        moments=fields.moments(values.get("moments"), duration_s, problems, where),
        mismatches=fields.mismatches(values.get("mismatches"), first, problems, where),
        duration_s=duration_s,
    )


def _read_jsonl(file: Path, gathering: Gathering, problems: Problems) -> None:
    for where, values in jsonl_rows(file, problems):
        with problems.at(where):
            video = fields.text(values.pop("video", None), "the video")
            known = known_of(values, problems, where)
            gathering.add(video, known, keyed="key" in values)


def _read_csv(file: Path, gathering: Gathering, problems: Problems) -> None:
    for where, values in csv_rows(file, problems, needed=["video"], known=_COLUMNS):
        with problems.at(where):
            video = fields.text(values["video"], "the video")
            known = _row_of(values, gathering, video)
            gathering.add(video, known, keyed="key" in values)


def _row_of(values: Mapping[str, str], gathering: Gathering, video: str) -> Example:
    """One line of a CSV; an empty field says nothing, but not all may be empty."""
    given = {name: value for name, value in values.items() if value.strip()}
    for group in _GROUPS:
        part = [name for name in group if name in given]
        if part and len(part) < len(group):
            raise Unfit("type", f"{part[0]} without all of {', '.join(group)}: fill them in")
    if "key" in values and "key" not in given:
        raise Unfit("text", "the key is empty: fill it in")
    duration_s = fields.duration(given.get("duration_s"))
    gathering.file(video)  # a missing file is the better complaint
    return Example(
        key=fields.text(given["key"], "the key") if "key" in given else "",
        captions=_one(given, "caption"),
        details=_one(given, "detail"),
        questions=(
            (fields.question(given["question"], given["answer"]),) if "question" in given else ()
        ),
        moments=_moment(given, duration_s),
        mismatches=_mismatch(given),
        duration_s=duration_s,
    )


def _one(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    return (fields.text(given[name], f"the {name}"),) if name in given else ()


def _moment(given: Mapping[str, str], duration_s: float | None) -> tuple[Moment, ...]:
    if "moment" not in given:
        return ()
    when = fields.span(given["start_s"], given["end_s"], duration_s)
    return (Moment(fields.text(given["moment"], "the moment"), when),)


def _mismatch(given: Mapping[str, str]) -> tuple[Mismatch, ...]:
    if "wrong" not in given:
        return ()
    if "caption" not in given:
        raise Unfit("type", "wrong without a caption that is right: fill it in")
    parts = (fields.text(given[name], f"the {name}") for name in ("wrong", "caption", "why"))
    return (Mismatch(*parts),)
