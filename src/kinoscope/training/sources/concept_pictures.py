"""Pictures of which the `concepts` model says which sentences are near: data of `distil`."""

from collections.abc import Callable, Sequence

from kinoscope.backbones.concepts import Concepts
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources import picture_files, sentences
from kinoscope.training.sources.pictures import PictureSource
from kinoscope.training.sources.taught import TaughtSource, taught
from kinoscope.weights import model_files

Report = Callable[[str], None]


def fetch(report: Report | None = None) -> None:
    """Pictures and sentences, as `picture_files.fetch` and `sentences.fetch`."""
    picture_files.fetch(report)
    sentences.fetch(report)


def concept_pictures(
    sampling: SamplingConfig,
    *,
    takes: int = 2,
    captions: Sequence[str] = (),
    tell: Report = lambda _line: None,
) -> TaughtSource:
    """The pictures, taught by `concepts`; the first time it takes some minutes.

    Args:
        sampling: which frames are seen; 260 x 260 is what the teacher reads.
        takes: videos of a picture, see `PictureSource`.
        captions: sentences beside those of `sentences.fetch`, such as captions of a world.
        tell: is told what takes time.

    Raises `SetupError` where `fetch` or `kinoscope setup` has not run.
    """
    texts = list(dict.fromkeys([*sentences.sentences(), *captions]))
    return taught(PictureSource(takes=takes), texts, Concepts(model_files()), sampling, tell=tell)
