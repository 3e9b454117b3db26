"""What clients of the OpenAI interface send and get, with vLLM's messages and rerank."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kinoscope.documents import MAX_TEXT_BYTES
from kinoscope.server.schema import Reference

MOST_INPUTS = 256
MOST_DOCUMENTS = 128

Text = Annotated[str, Field(max_length=MAX_TEXT_BYTES)]


class Loose(BaseModel):
    """Clients of this interface send fields that other servers know: they are passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Url(Loose):
    """A `data:` URL; no other is ever fetched."""

    url: str = Field(examples=["data:image/png;base64,iVBORw0KGgo="])


class Part(Loose):
    """A text, a picture or a video of a message."""

    type: Literal["text", "image_url", "video_url"]
    text: Text | None = None
    image_url: Url | None = None
    video_url: Url | None = None


class Message(Loose):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text | list[Part]


class FrameTimes(Loose):
    """When the frames of a `data:video/jpeg` URL are shown: at `frames_indices[i] / fps`."""

    fps: float = Field(1.0, gt=0, le=10_000)
    frames_indices: list[Annotated[int, Field(ge=0, le=10**9)]] | None = None


class MediaOptions(Loose):
    """vLLM's `media_io_kwargs`."""

    video: FrameTimes = Field(default_factory=lambda: FrameTimes())


class EmbeddingsRequest(Loose):
    """Texts as `input`, or one input of text and media as `messages`."""

    model: str | None = Field(None, description="Of /v1/models; the only one by default.")
    input: Text | list[Text] | None = Field(
        None, max_length=max(MOST_INPUTS, MAX_TEXT_BYTES), examples=["a fox in the snow"]
    )
    messages: list[Message] | None = Field(None, max_length=64)
    dimensions: int | None = Field(None, ge=1, description="First components, normalised again.")
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Literal["query", "document"] | None = Field(
        None, description="What a vector is for: texts are queries, media documents by default."
    )
    media_io_kwargs: MediaOptions = Field(default_factory=lambda: MediaOptions())


class EmbeddingOut(BaseModel):
    """A unit vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the texts; frames are not counted."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """As OpenAI's."""

    object: Literal["list"] = "list"
    data: list[EmbeddingOut]
    model: str
    usage: Usage


class ModelOut(BaseModel):
    """The model of the index."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "kinoscope"


class ModelsResponse(BaseModel):
    """As OpenAI's."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class RerankDocument(Loose):
    """A text, media as in messages, or a reference to an indexed video or upload."""

    text: Text | None = None
    content: list[Part] | None = Field(None, max_length=8)
    video: Reference | None = None


class RerankRequest(Loose):
    """As Jina's and Cohere's, which vLLM takes, too."""

    model: str | None = None
    query: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_BYTES)]
    documents: list[Text | RerankDocument] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = True
    scoring: Literal["cosine", "match"] = Field(
        "cosine",
        description="`match`: the model's yes against its no, 0 to 1; for media alone.",
    )
    media_io_kwargs: MediaOptions = Field(default_factory=lambda: MediaOptions())


class Ranked(BaseModel):
    """A document by its place in the request."""

    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class RerankResponse(BaseModel):
    """Best first."""

    id: str
    model: str
    results: list[Ranked]
    usage: Usage
