"""CiA's files: texts of opposite actions, and the text of each video."""

from dataclasses import dataclass
from typing import cast

from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Files, Film
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows, json_document


@dataclass(frozen=True, eq=False)
class Actions:
    """Texts by id, `group_label` with label 0.0 or 1.0, and films with the text of each."""

    found: Films
    texts: dict[str, str]
    films: dict[Film, str]


def read(dataset: str, files: Files, limit: int | None = None) -> Actions:
    """Rows `id,value,nuance,source,modality` of `cia-DATASET`, and labels video id -> [text id]."""
    found = Films(files["videos"], files["inputs"], limit)
    labels = json_document(files["labels"])
    if not isinstance(labels, dict):
        raise UsageError(f"{files['labels']} is no object of ids: other file?")
    texts: dict[str, str] = {}
    videos: dict[str, str] = {}
    needed = ["id", "value", "nuance", "source", "modality"]
    for where, row in csv_rows(files["inputs"], found.problems, needed=needed):
        kinds = {"text": texts, "video": videos}
        if row["source"] != f"cia-{dataset}" or row["modality"] not in kinds:
            continue
        with found.problems.at(where):
            known = kinds[row["modality"]]
            if row["id"] in known:
                raise Unfit("duplicate", f"{row['id']!r} was there before: ids are unique")
            known[row["id"]] = fields.text(row["value"], "the value")
    films: dict[Film, str] = {}
    for video, value in videos.items():
        with found.problems.at(video):
            named = labels.get(video)
            own = named[0] if isinstance(named, list) and named else None
            if own not in texts:
                raise Unfit("id", f"its label {own!r} is the id of no text: mend one of them")
            films[found.find(video, value)] = cast(str, own)
    if not films:
        raise UsageError(f"no video of cia-{dataset} has a text: {found.problems.describe()}")
    return Actions(found, texts, films)
