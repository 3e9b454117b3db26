"""What clients send and get, checked at the edge by pydantic; inside there are dataclasses."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kinoscope.answer import MOST_BYTES
from kinoscope.documents import MAX_TEXT_BYTES
from kinoscope.query import MOST

VIDEO_ID = "[0-9a-f]{32}"
_SECONDS = r"[0-9]{1,7}(\.[0-9]{1,6})?"
INDEXED = rf"^{VIDEO_ID}(@{_SECONDS}-{_SECONDS})?$"
REFERENCE = rf"^({VIDEO_ID}|upload-{VIDEO_ID})(@{_SECONDS}-{_SECONDS})?$"

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_BYTES)]
Reference = Annotated[
    str,
    Field(
        pattern=REFERENCE,
        description="An indexed video's id or an upload's, maybe a piece of it: `ID@12-17`.",
        examples=["3f9c2b7a3f9c2b7a3f9c2b7a3f9c2b7a@12-17"],
    ),
]


class Model(BaseModel):
    """Names that are not known are refused, numbers are finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Filtered(Model):
    """Which videos may answer."""

    folder: Text | None = Field(None, description="Only videos below this folder.")
    name: Text | None = Field(None, description="Only files of such names.", examples=["*.mov"])
    since: datetime | None = Field(None, description="Only files changed since.")
    until: datetime | None = Field(None, description="Only files changed until then.")
    min_duration_s: float | None = Field(None, ge=0)
    max_duration_s: float | None = Field(None, ge=0)


class SearchRequest(Model):
    """A query: at least one of `text`, `image`, `video`, `like`."""

    text: Text | None = Field(None, description="What to find.", examples=["a fox in the snow"])
    image: Reference | None = Field(None, description="Find what looks like an uploaded picture.")
    video: Reference | None = Field(None, description="Find what looks like a video's seconds.")
    edit: Text | None = Field(
        None, description="What is other than in `video` or `image`.", examples=["at night"]
    )
    like: list[Reference] = Field([], max_length=MOST, description="More like these, too.")
    excluded: list[Text] = Field(
        [], alias="not", max_length=MOST, description="Rank down what shows this."
    )
    k: int = Field(20, ge=1, le=200, description="How many hits at most.")
    threshold: float | None = Field(None, description="Least score of a hit.")
    scale: Literal["moments", "videos"] = "moments"
    group: Literal["video", "look"] | None = Field(
        None, description="One hit each video, or one of all that look nearly the same."
    )
    filters: Filtered = Field(default_factory=lambda: Filtered())
    rerank: int | None = Field(
        None, ge=1, le=100, description="Rank the best so many anew by the model's yes and no."
    )
    sure: bool = Field(False, description="Only good matches, maybe none; needs a calibration.")


class HitOut(Model):
    """A moment of a video."""

    rank: int
    video: str = Field(description="The video's id.")
    path: str
    start_s: float
    end_s: float
    score: float
    cosine: float
    penalty: float = 0.0
    probability: float | None = None
    copies: list[str] = []
    duration_s: float
    playable: bool = Field(description="Whether browsers play the file itself.")
    media: str = Field(description="Where the file is, in ranges of bytes.")
    poster: str = Field(description="Where a picture of the moment is.")
    preview: str = Field(description="Where the moment is as H.264, made when it is asked for.")


class GroupOut(HitOut):
    """A moment and those that it stands for."""

    others: list[HitOut] = []


class SearchResponse(Model):
    """Hits, best first; none where nothing matches."""

    hits: list[GroupOut]
    notes: list[str] = Field([], description="What was not taken into account, and why.")
    index: str = Field(description="Names the state of the index that answered.")


class MomentsRequest(Model):
    """When in one video something happens."""

    video: Annotated[str, Field(pattern=f"^{VIDEO_ID}$")]
    text: Text | None = Field(None, examples=["a rabbit jumps"])
    like: Reference | None = Field(None, description="In place of a text, what to look for.")
    k: int = Field(3, ge=1, le=50)
    refine: bool = Field(True, description="Embed the best moments by themselves.")


class MomentOut(Model):
    """A stretch of the video; `score` is how far it lies above the rest."""

    rank: int
    start_s: float
    end_s: float
    score: float
    cosine: float | None


class MomentsResponse(Model):
    """Moments, and the curve they were found on: `scores[i]` holds between two edges."""

    video: str
    duration_s: float
    moments: list[MomentOut]
    edges_s: list[float]
    scores: list[float]


class AskRequest(Model):
    """A question, over the library or one video of it."""

    question: Annotated[str, Field(min_length=1, max_length=MOST_BYTES)] = Field(
        examples=["What does the fox do?"]
    )
    video: Annotated[str, Field(pattern=INDEXED)] | None = Field(
        None,
        description="One indexed video, or a piece of it: `ID@12-17`.",
        examples=["3f9c2b7a3f9c2b7a3f9c2b7a3f9c2b7a@12-17"],
    )
    choices: list[Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]] = Field(
        [], max_length=16, description="The likeliest of these, two or more, is the answer."
    )
    find: Text | None = Field(None, description="What is looked for, if not the question.")
    k: int | None = Field(
        None, ge=1, le=20, description="About how many moments; 3, or all of a short video."
    )
    threshold: float | None = Field(None, description="Least score of a moment in the library.")
    filters: Filtered | None = Field(None, description="Which videos of the library may answer.")
    around_s: float = Field(0.0, ge=0, le=60, description="Seconds shown around each moment.")
    max_new_tokens: int = Field(64, ge=1, le=256, description="Where an answer is cut off.")


class AnswerOut(Model):
    """What the model says, having seen one stretch of one video and nothing else."""

    rank: int = Field(description="Of the moment; the order says nothing of the answers.")
    text: str
    video: str = Field(description="The video's id.")
    name: str = Field(description="The file's name.")
    path: str
    start_s: float
    end_s: float
    log_likelihood: float = Field(description="Of a token, as a mean; 0 is certainty.")
    complete: bool = Field(description="False for an answer that was cut off.")
    shares: list[float] = Field([], description="How probable each choice is among them.")
    score: float | None = Field(None, description="How the moment was found in the library.")
    media: str
    preview: str


class AskResponse(Model):
    """Answers in the order of their moments; none where nothing matches."""

    answers: list[AnswerOut]
    notes: list[str] = Field([], description="What was not taken into account, and why.")
    index: str = Field(description="Names the state of the index that answered.")


class VideoOut(Model):
    """A file of the library; `state` is `failed` for one in quarantine, with its reason."""

    id: str
    path: str
    state: str
    duration_s: float
    width: int
    height: int
    codec: str
    size_bytes: int
    playable: bool
    message: str = ""


class VideosResponse(Model):
    """A page of the library."""

    total: int
    videos: list[VideoOut]
    folders: list[str] = Field(description="What the index watches.")
    roots: list[str] = Field(description="Below these clients may have folders indexed.")


class AddRequest(Model):
    """A folder to index, or none for all that is watched."""

    folder: Text | None = Field(None, examples=["/srv/videos/2026"])


class IndexingOut(Model):
    """How far the last indexing run is."""

    state: Literal["idle", "running", "done", "stopped", "failed"]
    run: int
    folders: list[str]
    stage: str
    files_done: int
    files_total: int
    failed: int
    eta_s: float | None
    message: str


class RemovedResponse(Model):
    """How many files were forgotten; the files themselves stay."""

    removed: int


class UploadOut(Model):
    """An upload that can be asked about for a while, as `video`, `image` or `like`."""

    id: str
    kind: Literal["image", "video"]
    size_bytes: int
    duration_s: float | None


class HealthResponse(Model):
    """Whether the server answers; `trouble` says why it serves an older state, if so."""

    status: Literal["ok", "stale"]
    version: str
    model: str | None = None
    videos: int | None = None
    clips: int | None = None
    trouble: str = ""


class ErrorDetail(Model):
    """What went wrong, as one sentence with its remedy."""

    type: str
    message: str
    code: int


class ErrorResponse(Model):
    """Every answer that is no success."""

    error: ErrorDetail


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the errors of a route, beside those of every route."""
    return {status: {"model": ErrorResponse} for status in (400, 401, 403, 422, 429, *statuses)}
