"""Routes that OpenAI's clients know: embeddings, models; and rerank."""

import base64
import uuid
from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter
from starlette.responses import Response

from kinoscope.documents import Document
from kinoscope.errors import UsageError
from kinoscope.heads import truncate
from kinoscope.server.api import Served, in_turn
from kinoscope.server.faults import Absent
from kinoscope.server.finding import matcher_of
from kinoscope.server.openai_schema import (
    MOST_INPUTS,
    EmbeddingOut,
    EmbeddingsRequest,
    EmbeddingsResponse,
    ModelOut,
    ModelsResponse,
    Ranked,
    RerankDocument,
    RerankRequest,
    RerankResponse,
    Usage,
)
from kinoscope.server.schema import failures
from kinoscope.server.service import Service
from kinoscope.server.wire import Wire
from kinoscope.types import Float32, Float64

router = APIRouter(tags=["openai"])


@router.get("/v1/models", responses=failures())
def models(service: Served) -> ModelsResponse:
    """The model of the index, which is the only one."""
    return ModelsResponse(data=[ModelOut(id=service.name)])


@router.post("/v1/embeddings", responses=failures(404, 413), response_model=EmbeddingsResponse)
async def embeddings(asked: EmbeddingsRequest, service: Served) -> Response:
    """Unit vectors of texts, or of one input of text and media, in the space of the index."""
    quick = asked.messages is None
    return await in_turn(service, lambda: embedded(service, asked), quick=quick)


def embedded(service: Service, asked: EmbeddingsRequest) -> EmbeddingsResponse:
    """As the route; raises `UsageError` for what contradicts itself, `Absent`, `Busy`."""
    require_model(service, asked.model)
    documents, role = _inputs(service, asked)
    vectors_ND = _encoded(service, documents, role)
    if asked.dimensions is not None:
        full = vectors_ND.shape[1]
        if asked.dimensions > full:
            raise UsageError(f"dimensions {asked.dimensions}: the model has {full}")
        if not vectors_ND[:, : asked.dimensions].any(axis=1).all():
            raise UsageError(f"dimensions {asked.dimensions}: of a vector nothing is left")
        vectors_ND = truncate(vectors_ND, asked.dimensions)
    data = [
        EmbeddingOut(index=n, embedding=_written(vector_D, asked.encoding_format))
        for n, vector_D in enumerate(vectors_ND)
    ]
    return EmbeddingsResponse(data=data, model=service.name, usage=usage_of(service, documents))


@router.post("/v1/rerank", responses=failures(404, 413))
def rerank(asked: RerankRequest, service: Served) -> RerankResponse:
    """Documents by how well they fit a text: by cosine, or by the model's yes and no."""
    require_model(service, asked.model)
    wire = Wire(service.references, service.library.now, asked.media_io_kwargs.video)
    documents = [wire.ranked(each) for each in asked.documents]
    scores_N = (
        _match(service, asked.query, documents)
        if asked.scoring == "match"
        else (_cosines(service, asked.query, documents))
    )
    order = np.argsort(-scores_N, kind="stable")[: asked.top_n]
    results = [
        Ranked(
            index=int(n),
            relevance_score=float(scores_N[n]),
            document=_told(asked.documents[n]) if asked.return_documents else None,
        )
        for n in order
    ]
    return RerankResponse(
        id=f"rerank-{uuid.uuid4().hex}",
        model=service.name,
        results=results,
        usage=usage_of(service, [{"text": asked.query}, *documents]),
    )


def require_model(service: Service, name: str | None) -> None:
    """Raises `Absent` for another model than that of the index."""
    if name not in (None, service.name):
        raise Absent(f"no model {name!r} here: this server has {service.name}")


def usage_of(service: Service, documents: Sequence[Document]) -> Usage:
    """Tokens of all texts, as the model counts them."""
    count = service.library.now.embedder.backbone.count_tokens
    texts = (each.get("text") if isinstance(each, dict) else None for each in documents)
    tokens = sum(count(text) for text in texts if isinstance(text, str))
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def _inputs(service: Service, asked: EmbeddingsRequest) -> tuple[list[Document], str]:
    """What is embedded, and for which side of a search."""
    if (asked.input is None) == (asked.messages is None):
        raise UsageError("give input or messages, one of the two")
    if asked.messages is not None:
        wire = Wire(service.references, service.library.now, asked.media_io_kwargs.video)
        document = wire.conversation(asked.messages)
        media = isinstance(document, dict) and set(document) != {"text"}
        return [document], asked.input_type or ("document" if media else "query")
    texts = [asked.input] if isinstance(asked.input, str) else list(asked.input or [])
    if not 1 <= len(texts) <= MOST_INPUTS:
        raise UsageError(f"{len(texts)} inputs: give 1 to {MOST_INPUTS}")
    return [{"text": text} for text in texts], asked.input_type or "query"


def _encoded(service: Service, documents: Sequence[Document], role: str) -> Float32:
    """Vectors [N, D]; queries go through the model with those of other clients."""
    if role == "query":
        return service.encode(documents)
    with service.metrics.stage("model"):
        return service.library.now.embedder.encode_document(documents)


def _written(vector_D: Float32, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector_D.astype("<f4").tobytes()).decode()
    return list(vector_D.astype(np.float64).tolist())


def _cosines(service: Service, query: str, documents: Sequence[Document]) -> Float64:
    """Of each document with the query [N], as of an index's clips."""
    query_D = service.encode([query])[0].astype(np.float64)
    return np.asarray(_encoded(service, documents, "document").astype(np.float64) @ query_D)


def _match(service: Service, query: str, documents: Sequence[Document]) -> Float64:
    """How likely the model holds the query to describe each document [N]."""
    matcher, embedder = matcher_of(service), service.library.now.embedder
    with service.metrics.stage("match"), embedder.turn:
        clips = [embedder.features(document) for document in documents]
        odds_N = matcher.log_odds(clips, [query] * len(clips))
    return matcher.calibration.probabilities(odds_N)


def _told(document: str | RerankDocument) -> dict[str, str]:
    """A document as it is told back: texts and references, no media."""
    if isinstance(document, str):
        return {"text": document}
    return {name: value for name in ("text", "video") if (value := getattr(document, name))}
