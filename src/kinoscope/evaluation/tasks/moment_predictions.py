"""Predictions in a file, in the form that the QVHighlights evaluator takes: no model is asked."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.moment_figures import Told, judged, told_windows
from kinoscope.evaluation.tasks.moment_files import qvhighlights
from kinoscope.evaluation.tasks.protocol import Film, LeftOut, TaskResult
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.rows import jsonl_rows


class Unseen:
    """Videos by their ids alone, for predictions are judged without any."""

    def __init__(self, annotations: Path) -> None:
        """`annotations` is named in problems."""
        self.problems = Problems(annotations.name)

    def find(self, video: object, *_others: str) -> Film:
        """The film of an id, which may be nowhere; raises `Unfit` for no id."""
        name = fields.text(video, "the video id")
        return Film(name, Path(name))


def judge_predictions(queries: Path, predictions: Path) -> TaskResult:
    """Figures of a JSONL of `qid, vid, pred_relevant_windows, pred_saliency_scores`.

    A query of which the file says nothing counts as 0, and is counted. Raises `UsageError` for
    files of another form, or if no query can be judged.
    """
    found, given = Unseen(queries), Problems(predictions.name)
    asked = list(qvhighlights({"queries": queries}, found))
    if not asked:
        raise UsageError(f"no text has a window to look for: {found.problems.describe()}")
    told = dict(_told(predictions, given, frozenset(each.name for each in asked)))
    if not told:
        raise UsageError(f"{predictions.name} says nothing of these queries: {given.describe()}")
    absent = [each.name for each in asked if each.name not in told]
    rows = {f"queries: {kind}": count for kind, count in found.problems.counts.items()}
    rows |= {f"predictions: {kind}": count for kind, count in given.counts.items()}
    return TaskResult(
        values=judged(asked, told),
        protocol={
            "queries": len(asked),
            "nothing_told": len(absent),
            "nothing_told_of": absent[:20],
        },
        left_out=LeftOut(rows=rows),
        rankings={"moments": told_windows(asked, told)},
    )


def _told(path: Path, problems: Problems, known: frozenset[str]) -> Iterator[tuple[str, Told]]:
    seen: set[str] = set()
    for where, row in jsonl_rows(path, problems):
        with problems.at(where):
            name = f"{fields.text(row.get('vid'), 'the video id')}#{row.get('qid')}"
            if name not in known:
                raise Unfit("id", f"{name[:80]} is no query of the annotations: another split?")
            if name in seen:
                raise Unfit("duplicate", f"{name[:80]} was there before: remove one")
            seen.add(name)
            try:
                windows = np.array(row.get("pred_relevant_windows"), np.float64).reshape(-1, 3)
                scores = np.array(row.get("pred_saliency_scores", []), np.float64).reshape(-1)
            except (ValueError, TypeError, OverflowError):
                raise Unfit(
                    "type", "give windows as [start, end, score], saliency as numbers"
                ) from None
            yield name, Told(windows, scores)
