"""Test files of retrieval benchmarks in the layouts in which they are published.

Each gives rows (where, names of the video, caption) of what it finds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.evaluation.tasks.retrieval import gathered, retrieval
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import (
    csv_rows,
    entries,
    json_document,
    text_lines,
)

Rows = Iterator[tuple[str, Sequence[str], object]]
Read = Callable[[Files, Problems], Rows]


def msr_vtt(files: Files, problems: Problems) -> Rows:
    """`key,vid_key,video_id,sentence`: the 1 000 pairs of 1k-A."""
    needed = ["video_id", "sentence"]
    for where, row in csv_rows(files["captions"], problems, needed=needed):
        yield where, (row["video_id"],), row["sentence"]


def msvd(files: Files, problems: Problems) -> Rows:
    """Lines `mv89psg6zh4_33_46 A bird is bathing.` and a list of the test ids."""
    listed = {line for _, line in text_lines(files["ids"], problems)}
    for where, line in text_lines(files["captions"], problems):
        video, _, said = line.partition(" ")
        if video in listed:
            yield where, (video,), said


def vatex(files: Files, problems: Problems) -> Rows:
    """`[{"videoID", "enCap": [...]}]`: ten English captions a video."""
    for where, entry in entries(json_document(files["captions"]), problems, "entry"):
        said = entry.get("enCap")
        for caption in said if isinstance(said, list) else [said]:
            yield where, (str(entry.get("videoID")),), caption


def didemo(files: Files, problems: Problems) -> Rows:
    """`[{"video", "description"}]`: all descriptions of a video, as listed, are one paragraph."""
    told: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for where, entry in entries(json_document(files["captions"]), problems, "entry"):
        video = str(entry.get("video"))
        told.setdefault(video, []).append(str(entry.get("description", "")).strip())
        first.setdefault(video, where)
    for video, parts in told.items():
        yield first[video], (video, Path(video).stem), " ".join(parts)


def activitynet(files: Files, problems: Problems) -> Rows:
    """`{"v_id": {"sentences": [...]}}`: all sentences of a video are one paragraph."""
    for video, entry in _object(files["captions"]).items():
        said = entry.get("sentences") if isinstance(entry, dict) else None
        parts = [str(part).strip() for part in said] if isinstance(said, list) else []
        yield video, (video, video.removeprefix("v_")), " ".join(parts)


def lsmdc(files: Files, problems: Problems) -> Rows:
    """Tabs: clip id, four times, sentence; clips lie in the folder, or in one a film."""
    for where, line in text_lines(files["captions"], problems):
        parts = line.split("\t")
        if len(parts) != 6:
            problems.add("type", where, f"{len(parts)} fields: give id, four times, sentence")
            continue
        clip = parts[0].strip()
        yield where, (clip, f"{clip.rsplit('_', 1)[0]}/{clip}"), parts[5]


def _object(path: Path) -> Mapping[str, Any]:
    document = json_document(path)
    if not isinstance(document, dict):
        raise UsageError(f"{path} is no object of video ids: other file?")
    return document


def _run(read: Read, files: Files, model: Model, options: Options) -> TaskResult:
    found = Films(files["videos"], files["captions"], options.limit)
    return retrieval(gathered(found, read(files, found.problems)), model, options)


def captioned(read: Read, source: str, captions: str, **more: str) -> Benchmark:
    """Retrieval on the rows that are read of its files."""
    files = {"captions": captions, "videos": "videos", **more}
    return Benchmark(files=files, run=partial(_run, read), source=source, galleries=True)


BENCHMARKS: Mapping[str, Benchmark] = {
    "msr-vtt": captioned(msr_vtt, "arXiv 1808.02559 (1k-A)", "MSRVTT_JSFUSION_test.csv"),
    "msvd": captioned(msvd, "ACL P11-1020", "AllVideoDescriptions.txt", ids="test_list.txt"),
    "vatex": captioned(vatex, "arXiv 1904.03493", "vatex_test.json"),
    "didemo": captioned(didemo, "arXiv 1708.01641", "test_data.json"),
    "activitynet": captioned(activitynet, "arXiv 1705.00754", "val_1.json"),
    "lsmdc": captioned(lsmdc, "arXiv 1605.03705", "LSMDC16_challenge_1000_publictect.csv"),
}
