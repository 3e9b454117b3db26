"""The training files of public benchmarks, in the layouts in which they are published.

Annotations are read as they are, videos lie in a folder by their id, with whatever suffix. What
names no training split reads the file that it is given: never give it a test file.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.training.sources import fields
from kinoscope.training.sources.folder import FolderSource, VideoFolder, fingerprint_of
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Edit, Example, Moment
from kinoscope.training.sources.rows import (
    Gathering,
    csv_rows,
    entries,
    json_document,
    jsonl_rows,
    text_lines,
)

_CHARADES = re.compile(r"(\S+) (\S+) (\S+?)\s*##(.*)", re.DOTALL)
_DIDEMO_SEGMENT_S = 5.0


@dataclass(frozen=True)
class _Reading:
    """Where rows go while a benchmark is read, and which video ids are wanted; None: all."""

    gathering: Gathering
    problems: Problems
    ids: Collection[str] | None

    def wants(self, video: str) -> bool:
        return self.ids is None or video in self.ids

    def add(self, where: str, video: object, make: Callable[[], Example]) -> None:
        """Adds what `make` says of a video, unless it is unfit or not wanted."""
        with self.problems.at(where):
            name = fields.text(video, "the video id")
            if self.wants(name):
                self.gathering.file(name)  # a missing file is the better complaint
                self.gathering.add(name, make())


_Read = Callable[[Path, _Reading], None]


def read_benchmark(
    name: str,
    annotations: Path,
    videos: Path,
    *,
    ids: Path | None = None,
    strict: bool = False,
) -> FolderSource:
    """The training data of a benchmark; what is unfit is in `source.problems`.

    Args:
        name: one of `BENCHMARKS`.
        annotations: its file.
        videos: the folder of its videos.
        ids: a list of the video ids to read, one a line, or a CSV with the column `video_id`, such
            as `MSRVTT_train.9k.csv`; others are passed over.
        strict: raise `UsageError` at the first unfit entry instead of noting it.

    Raises `UsageError` for an unknown benchmark, a file of another layout, or if nothing is left.
    """
    if name not in BENCHMARKS:
        raise UsageError(f"benchmark {name!r}: choose {', '.join(BENCHMARKS)}")
    if annotations.suffix.lower() in (".pkl", ".pickle"):
        raise UsageError(f"{annotations} may contain code: give the JSON, TXT or CSV file instead")
    read, overlaps = BENCHMARKS[name]
    problems = Problems(annotations.name, strict=strict)
    folder = VideoFolder(videos)
    chosen = None if ids is None else _ids(ids, problems)
    reading = _Reading(Gathering(folder), problems, chosen)
    read(annotations, reading)
    files = [annotations] if ids is None else [annotations, ids]
    return FolderSource(
        f"{name} train",
        reading.gathering.items,
        folder,
        overlaps=overlaps,
        fingerprint=fingerprint_of(files, name),
        problems=problems,
    )


def _ids(path: Path, problems: Problems) -> frozenset[str]:
    if path.suffix.lower() == ".csv":
        return frozenset(
            row["video_id"] for _, row in csv_rows(path, problems, needed=["video_id"])
        )
    return frozenset(line for _, line in text_lines(path, problems))


def _msr_vtt(path: Path, reading: _Reading) -> None:
    """`{"videos": [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}`.

    Without a list of ids: the videos whose split is `train`.
    """
    document = _object(json_document(path), path, "sentences")
    if reading.ids is None:
        listed = entries(document.get("videos"), reading.problems, "videos")
        train = {str(v.get("video_id")) for _, v in listed if v.get("split") == "train"}
        reading = _Reading(reading.gathering, reading.problems, train)
    for where, entry in entries(document["sentences"], reading.problems, "sentences"):
        reading.add(where, entry.get("video_id"), partial(_caption, entry.get("caption")))


def _msvd(path: Path, reading: _Reading) -> None:
    """Lines `mv89psg6zh4_33_46 A bird is bathing.`, `#` before a remark; give the train list."""
    if reading.ids is None:
        raise UsageError(f"{path.name} has all of MSVD: give the list of training ids too")
    for where, line in text_lines(path, reading.problems):
        video, _, said = line.partition(" ")
        if not line.startswith("#"):
            reading.add(where, video, partial(_caption, said))


def _vatex(path: Path, reading: _Reading) -> None:
    """`[{"videoID", "enCap": [...]}]`; Chinese captions are passed over."""
    for where, entry in entries(json_document(path), reading.problems, "entry"):
        make = partial(_captions, entry.get("enCap"), reading.problems, where)
        reading.add(where, entry.get("videoID"), make)


def _didemo(path: Path, reading: _Reading) -> None:
    """`[{"video", "description", "times": [[first, last], ...]}]`, in segments of 5 s."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for where, entry in entries(json_document(path), reading.problems, "entry"):
        found.setdefault(str(entry.get("video")), []).append((where, entry))
    for video, parts in found.items():
        reading.add(parts[0][0], video, partial(_segments, parts, reading.problems))


def _segments(parts: Sequence[tuple[str, Mapping[str, Any]]], problems: Problems) -> Example:
    moments = []
    for where, entry in parts:
        with problems.at(where):
            first, last = _majority(entry.get("times"))
            when = fields.span(first * _DIDEMO_SEGMENT_S, (last + 1) * _DIDEMO_SEGMENT_S, None)
            moments.append(Moment(fields.text(entry.get("description"), "the description"), when))
    return _paragraph(moments, None)


def _majority(times: object) -> tuple[float, float]:
    """The segments that most people chose; of several the first."""
    if not isinstance(times, list) or not times:
        raise Unfit("type", "no times: give [first, last] segments of each person")
    pairs = [_pair(pair) for pair in times]
    return Counter(pairs).most_common(1)[0][0]


def _activitynet(path: Path, reading: _Reading) -> None:
    """`{"v_id": {"duration", "timestamps": [[start, end]], "sentences": [...]}}`."""
    for video, entry in _object(json_document(path), path).items():
        reading.add(str(video), video, partial(_sentences, video, entry, reading.problems))


def _sentences(video: str, entry: object, problems: Problems) -> Example:
    parts = entry if isinstance(entry, dict) else {}
    times, texts = parts.get("timestamps"), parts.get("sentences")
    if not isinstance(times, list) or not isinstance(texts, list) or len(times) != len(texts):
        raise Unfit("type", "timestamps and sentences are no lists of one length: mend them")
    duration_s = fields.duration(parts.get("duration"))
    moments = []
    for time, said in zip(times, texts, strict=True):
        with problems.at(video):
            when = fields.span(*_pair(time), duration_s)
            moments.append(Moment(fields.text(said, "the sentence"), when))
    return _paragraph(moments, duration_s)


def _charades_sta(path: Path, reading: _Reading) -> None:
    """Lines `AO8RW 0.0 6.9##a person takes a book.`, or a JSONL in the form of QVHighlights."""
    if path.suffix.lower() == ".jsonl":
        _qvhighlights(path, reading)
        return
    for where, line in text_lines(path, reading.problems):
        found = _CHARADES.fullmatch(line)
        if found is None:
            reading.problems.add("type", where, f"{line[:80]!r}: write `id start end##sentence`")
            continue
        video, start, end, said = found.groups()
        reading.add(where, video, partial(_moment, said, [[start, end]], None))


def _qvhighlights(path: Path, reading: _Reading) -> None:
    """Objects `{"qid", "query", "vid", "duration", "relevant_windows": [[start, end]]}`."""
    for where, entry in jsonl_rows(path, reading.problems):
        told = (entry.get(name) for name in ("query", "relevant_windows", "duration"))
        reading.add(where, entry.get("vid"), partial(_moment, *told))


def _covr(path: Path, reading: _Reading) -> None:
    """Columns `txt1,txt2,pth1,pth2,edit`: the edit leads from the first video to the second."""
    needed = ["txt1", "txt2", "pth1", "pth2", "edit"]
    for where, row in csv_rows(path, reading.problems, needed=needed):
        if not (reading.wants(row["pth1"]) and reading.wants(row["pth2"])):
            continue
        with reading.problems.at(where):
            source, target = (fields.text(row[name], name) for name in ("pth1", "pth2"))
            one, other = (_caption(row[name]) for name in ("txt1", "txt2"))
            key = reading.gathering.file(target)
            told = (captions.captions[0] for captions in (one, other))
            edit = Edit(fields.text(row["edit"], "the edit"), key, *told)
            known = Example(key="", captions=one.captions, edits=(edit,))
            reading.gathering.add(source, known)
            reading.gathering.add(target, other, repeats=True)


def _caption(said: object) -> Example:
    return Example(key="", captions=(fields.text(said, "the caption"),))


def _captions(said: object, problems: Problems, where: str) -> Example:
    return Example(key="", captions=fields.texts(said, "the caption", problems, where))


def _moment(said: object, windows: object, duration: object) -> Example:
    duration_s = fields.duration(duration)
    if not isinstance(windows, list) or not windows:
        raise Unfit("type", "no windows: give [start, end] in seconds")
    spans = [fields.span(*_pair(window), duration_s) for window in windows]
    told = fields.text(said, "the query")
    return Example(
        key="", moments=tuple(Moment(told, span) for span in spans), duration_s=duration_s
    )


def _paragraph(moments: Sequence[Moment], duration_s: float | None) -> Example:
    """Sentences on parts, which together tell of the whole."""
    ordered = sorted(moments, key=lambda moment: moment.span)
    told = " ".join(dict.fromkeys(moment.text for moment in ordered))
    details = (told,) if len(ordered) > 1 else ()
    return Example(key="", details=details, moments=tuple(moments), duration_s=duration_s)


def _pair(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit("type", f"{str(value)[:80]} is no pair: give [start, end]")
    return fields.number(value[0], "the start"), fields.number(value[1], "the end")


def _object(document: object, path: Path, *needed: str) -> Mapping[str, Any]:
    if not isinstance(document, dict) or not set(needed) <= set(document):
        raise UsageError(
            f"{path} is no object with {', '.join(needed) or 'video ids'}: other file?"
        )
    return document


BENCHMARKS: Mapping[str, tuple[_Read, tuple[str, ...]]] = {
    # another split's test videos, and clips of the same films
    "MSR-VTT": (_msr_vtt, ("MSR-VTT", "MSRVTT-QA", "NegBench", "MMEB-V2")),
    "MSVD": (_msvd, ("MSVD", "MSVD-QA", "MMEB-V2")),
    "VATEX": (_vatex, ("VATEX", "MMEB-V2")),
    "DiDeMo": (_didemo, ("DiDeMo", "MMEB-V2")),
    "ActivityNet-Captions": (_activitynet, ("ActivityNet", "ActivityNet-QA", "MMEB-V2")),
    "Charades-STA": (_charades_sta, ("Charades-STA", "CiA", "MVBench", "MMEB-V2")),
    "QVHighlights": (_qvhighlights, ("QVHighlights", "MMEB-V2")),
    "WebVid-CoVR": (_covr, ("WebVid-CoVR", "Dense-WebVid-CoVR")),
}
"""How each is read, and the benchmarks that are made of the same videos or texts."""
