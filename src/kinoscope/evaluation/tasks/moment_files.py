"""Test files of moment benchmarks: Charades-STA, QVHighlights, ActivityNet-Captions."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.films import Films, Finds
from kinoscope.evaluation.tasks.moment_figures import Sought
from kinoscope.evaluation.tasks.moments import CLIP_S, localisation
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import json_document, jsonl_rows, text_lines
from kinoscope.types import Float64

Read = Callable[[Files, Finds], Iterator[Sought]]

_LINE = re.compile(r"(\S+) (\S+) (\S+?)\s*##(.*)")


def charades_sta(files: Files, found: Finds) -> Iterator[Sought]:
    """Lines `3MSZA 24.3 30.4##person turn a light on.`, or JSONL in the form of QVHighlights."""
    if files["queries"].suffix.lower() == ".jsonl":
        yield from qvhighlights(files, found)
        return
    for where, line in text_lines(files["queries"], found.problems):
        with found.problems.at(where):
            parts = _LINE.fullmatch(line)
            if parts is None:
                raise Unfit("type", f"{line[:80]!r}: write `id start end##sentence`")
            video, start, end, said = parts.groups()
            film = found.find(video)
            text = fields.text(said, "the sentence")
            yield Sought(f"{film.id}#{where.split()[-1]}", film, text, _windows([[start, end]]))


def qvhighlights(files: Files, found: Finds) -> Iterator[Sought]:
    """Objects `qid, query, vid, duration, relevant_windows`, with ratings of clips or without."""
    names: set[str] = set()
    for where, row in jsonl_rows(files["queries"], found.problems):
        with found.problems.at(where):
            film = found.find(row.get("vid"))
            name = f"{film.id}#{row.get('qid', where.split()[-1])}"
            if name in names:
                raise Unfit("duplicate", f"the query {name[:80]} was there before: remove one")
            names.add(name)
            text = fields.text(row.get("query"), "the query")
            yield Sought(name, film, text, _windows(row.get("relevant_windows")), _ratings(row))


def activitynet(files: Files, found: Finds) -> Iterator[Sought]:
    """`{"v_id": {"timestamps": [[start, end]], "sentences": [...]}}`: each sentence looks."""
    document = json_document(files["queries"])
    if not isinstance(document, dict):
        raise UsageError(f"{files['queries']} is no object of video ids: other file?")
    for video, entry in document.items():
        with found.problems.at(video):
            parts = entry if isinstance(entry, dict) else {}
            times, said = parts.get("timestamps"), parts.get("sentences")
            if not isinstance(times, list) or not isinstance(said, list) or len(times) != len(said):
                raise Unfit("type", "timestamps and sentences are no lists of one length: mend")
            film = found.find(video, video.removeprefix("v_"))
            for number, (window, text) in enumerate(zip(times, said, strict=True)):
                with found.problems.at(f"{video} {number}"):
                    sentence = fields.text(text, "the sentence")
                    yield Sought(f"{film.id}#{number}", film, sentence, _windows([window]))


def _windows(value: object) -> Float64:
    """[G, 2] in seconds; raises `Unfit` for none, or one that is empty or no pair."""
    if not isinstance(value, list) or not value:
        raise Unfit("type", "no windows: give [start, end] in seconds")
    for window in value:
        if not isinstance(window, list) or len(window) != 2:
            raise Unfit("type", f"{str(window)[:80]} is no pair: give [start, end]")
    spans = [fields.span(start, end, None) for start, end in value]
    return np.array([[span.start_s, span.end_s] for span in spans], np.float64)


def _ratings(row: Mapping[str, Any]) -> Float64 | None:
    """Three annotators' ratings of each clip of 2 s [C, 3], 0 to 4; 0 beside the windows."""
    if "saliency_scores" not in row:
        return None
    duration_s = fields.duration(row.get("duration"))
    try:
        places = np.array(row.get("relevant_clip_ids"), np.int64)
        rated_R3 = np.array(row["saliency_scores"], np.float64).reshape(len(places), 3)
    except (ValueError, TypeError, OverflowError):
        raise Unfit("type", "saliency_scores: give three for each of relevant_clip_ids") from None
    count = int((duration_s or 0.0) / CLIP_S)
    if not len(places) or not ((places >= 0) & (places < count)).all():
        raise Unfit("span", f"clips {places[:5].tolist()}... of {count}: give those of the video")
    ratings_C3 = np.zeros((count, 3))
    ratings_C3[places] = rated_R3
    return ratings_C3


def _run(
    read: Callable[[Files, Films], Iterator[Sought]], files: Files, model: Model, options: Options
) -> TaskResult:
    found = Films(files["videos"], files["queries"], options.limit)
    return localisation(list(read(files, found)), found, model)


def _benchmark(read: Read, queries: str, source: str) -> Benchmark:
    files = {"queries": queries, "videos": "videos"}
    return Benchmark(files=files, run=partial(_run, read), source=source)


BENCHMARKS: Mapping[str, Benchmark] = {
    "charades-sta": _benchmark(charades_sta, "charades_sta_test.txt", "arXiv 1705.02101"),
    "qvhighlights": _benchmark(qvhighlights, "highlight_val_release.jsonl", "arXiv 2107.09609"),
    "activitynet-captions": _benchmark(activitynet, "val_1.json", "arXiv 1705.00754"),
}
