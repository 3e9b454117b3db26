"""Records: everything written down about one video, as one line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.training.world.captions import captions, negated_caption
from kinoscope.training.world.detail import detailed_caption
from kinoscope.training.world.questions import Question, questions
from kinoscope.training.world.scene import Scene, Split, reverse
from kinoscope.training.world.tasks import (
    Edit,
    Mismatch,
    Moment,
    edits,
    is_chiral,
    mismatches,
    moments,
)
from kinoscope.types import Span

WORDINGS = 20


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One event: its kind, who takes part, when, and how."""

    kind: str
    things: tuple[str, ...]
    span: Span
    gait: str
    tempo: str


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """An edit of the video; `file` is the target, where one was written."""

    kind: str
    text: str
    source: str
    target: str
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """All texts of one video.

    Attributes:
        id: `test-000017`.
        file: the video below the folder of the data set.
        captions: twenty true wordings; the first is the caption for retrieval.
        detailed: 60 to 250 words.
        negated: a caption with a sentence on what is absent.
        reversed_captions: of the video played backwards.
        reversed_file: that video, where it was written.
        chiral: whether what happens tells the video from its reversal.
        absent: a noun that the video does not show.
        complexity: `events`, `shots`, `actors`, `duration_s`.
    """

    id: str
    split: Split
    seed: int
    file: str
    captions: tuple[str, ...]
    detailed: str
    negated: str
    reversed_captions: tuple[str, ...]
    reversed_file: str | None
    chiral: bool
    absent: str
    complexity: Mapping[str, float]
    events: tuple[EventRecord, ...]
    moments: tuple[Moment, ...]
    questions: tuple[Question, ...]
    mismatches: tuple[Mismatch, ...]
    edits: tuple[EditRecord, ...]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> "Record":
        """The reverse of `to_json`; `UsageError` for anything else."""
        try:
            content = json.loads(line)
            if set(content) != {known.name for known in fields(cls)}:
                raise ValueError("other fields")
            content["captions"] = tuple(content["captions"])
            content["reversed_captions"] = tuple(content["reversed_captions"])
            content["events"] = tuple(_event(entry) for entry in content["events"])
            content["moments"] = tuple(
                Moment(text=entry["text"], span=Span(**entry["span"]))
                for entry in content["moments"]
            )
            content["questions"] = tuple(_question(entry) for entry in content["questions"])
            content["mismatches"] = tuple(Mismatch(**entry) for entry in content["mismatches"])
            content["edits"] = tuple(EditRecord(**entry) for entry in content["edits"])
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"not a record of the world ({error}): make the folder anew"
            ) from error


def _event(entry: dict[str, Any]) -> EventRecord:
    values = {**entry, "things": tuple(entry["things"]), "span": Span(**entry["span"])}
    return EventRecord(**values)


def _question(entry: dict[str, Any]) -> Question:
    if entry["options"].count(entry["answer"]) != 1:
        raise ValueError("a question without its answer")
    return Question(**{**entry, "options": tuple(entry["options"])})


def describe_scene(scene: Scene, *, wordings: int = WORDINGS, partners: bool = False) -> Record:
    """All texts of a scene; `partners` names files for its reversal and for its edits."""
    name = f"{scene.split}-{scene.seed:06d}"
    made = edits(scene)
    return Record(
        id=name,
        split=scene.split,
        seed=scene.seed,
        file=f"videos/{name}.mp4",
        captions=captions(scene, wordings),
        detailed=detailed_caption(scene),
        negated=negated_caption(scene),
        reversed_captions=captions(reverse(scene), wordings),
        reversed_file=f"videos/{name}-reversed.mp4" if partners else None,
        chiral=is_chiral(scene),
        absent=scene.absent,
        complexity=scene.complexity,
        events=tuple(
            EventRecord(
                kind=event.kind,
                things=tuple(shot.actors[n].thing.name for n in event.actors),
                span=event.span,
                gait=event.gait,
                tempo=event.tempo,
            )
            for shot, event in scene.events
        ),
        moments=moments(scene),
        questions=questions(scene),
        mismatches=mismatches(scene),
        edits=tuple(_edit(edit, name, partners=partners) for edit in made),
    )


def _edit(edit: Edit, name: str, *, partners: bool) -> EditRecord:
    return EditRecord(
        kind=edit.kind,
        text=edit.text,
        source=edit.source,
        target=edit.target,
        file=f"videos/{name}-{edit.kind}.mp4" if partners else None,
    )
