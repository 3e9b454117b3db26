"""NegBench: retrieval by captions that also say what is not there (arXiv 2501.09425)."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.tasks.captions import Rows
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.evaluation.tasks.retrieval import gathered, text_to_video
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import csv_rows

_IDS = ("video_id", "image_id", "filepath", "image_path")


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """R@1, 5, 10 of text to video by the standard captions and by the negated ones, apart."""
    values: dict[str, PerQuery] = {}
    rankings: dict[str, Rankings] = {}
    protocol: dict[str, object] = {"captions": "each asks alone"}
    found = Films(files["videos"], files["standard"], options.limit)
    encoder, lost = Encoder(model), 0
    for kind in ("standard", "negated"):
        data = gathered(found, _captions(files, kind, found.problems))
        asked, gallery = text_to_video(data, encoder)
        scored = asked.scored(options)
        values |= scored.recalls(f"{kind}_t2v")
        rankings[f"{kind}_t2v"] = scored.rankings()
        protocol[f"{kind}_queries"] = len(asked.queries)
        protocol[f"{kind}_gallery"] = len(gallery)
        lost += len(data.texts) - len(asked.queries)
    return TaskResult(
        values=values,
        protocol=protocol,
        left_out=found.left_out(encoder, found.rows_without_video + lost),
        rankings=rankings,
    )


def _captions(files: Files, kind: str, problems: Problems) -> Rows:
    """Rows with an id and `captions`, which is a list in Python's notation, or one caption."""
    for where, row in csv_rows(files[kind], problems, needed=["captions"]):
        names = file_names(row)
        for said in _listed(row["captions"]):
            yield f"{kind} {where}", names, said


def _listed(said: str) -> Sequence[object]:
    try:
        found = ast.literal_eval(said) if said.lstrip().startswith("[") else [said]
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [None]
    return found if isinstance(found, list) else [found]


def file_names(row: Mapping[str, str]) -> tuple[str, ...]:
    """What the file of a row may be called: COCO pads the number of a picture."""
    given = next((row[name] for name in _IDS if row.get(name)), "")
    name = PurePosixPath(given).name
    stem = PurePosixPath(name).stem
    padded = (f"{int(stem):012d}.jpg",) if stem.isascii() and stem.isdigit() else ()
    return (stem, name, f"video{stem}", *padded)


BENCHMARKS: Mapping[str, Benchmark] = {
    f"negbench-{name}": Benchmark(
        files={
            "standard": f"{name}_retrieval.csv",
            "negated": f"{name}_retrieval_negated.csv",
            "videos": folder,
        },
        run=run,
        source="arXiv 2501.09425",
        galleries=True,
    )
    for name, folder in (("msrvtt", "videos"), ("coco", "images"))
}
