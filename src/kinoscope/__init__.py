"""Kinoscope: find the moment you describe in your videos. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinoscope.answer import Answer as Answer
    from kinoscope.answer import AskOptions as AskOptions
    from kinoscope.answer import ask as ask
    from kinoscope.answer import ask_video as ask_video
    from kinoscope.backbones.options import LoadOptions as LoadOptions
    from kinoscope.documents import Excerpt as Excerpt
    from kinoscope.embedder import Embedder as Embedder
    from kinoscope.filters import Filters as Filters
    from kinoscope.index.handle import Index as Index
    from kinoscope.moments import find_moments as find_moments
    from kinoscope.query import Query as Query
    from kinoscope.retrieval import search as search
    from kinoscope.sampling import SamplingConfig as SamplingConfig
    from kinoscope.types import Frames as Frames
    from kinoscope.types import Hit as Hit
    from kinoscope.types import Span as Span

__version__ = "0.1.0"

_HOME = {
    "Answer": "kinoscope.answer",
    "AskOptions": "kinoscope.answer",
    "Embedder": "kinoscope.embedder",
    "Excerpt": "kinoscope.documents",
    "Filters": "kinoscope.filters",
    "Frames": "kinoscope.types",
    "Hit": "kinoscope.types",
    "Index": "kinoscope.index.handle",
    "LoadOptions": "kinoscope.backbones.options",
    "Query": "kinoscope.query",
    "SamplingConfig": "kinoscope.sampling",
    "Span": "kinoscope.types",
    "ask": "kinoscope.answer",
    "ask_video": "kinoscope.answer",
    "find_moments": "kinoscope.moments",
    "search": "kinoscope.retrieval",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'kinoscope' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
