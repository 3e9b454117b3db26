"""The mix of text triplets that teaches nuances: `kinoscope triplets make --mix FILE` reads it.

Everything is generated, so no data set is needed. With data, name its readers before the generator:
`read_triplets(Path("nli_for_simcse.csv"), overlaps=())`, `read_covr(...)`, `read_ego4d(...)`.
"""

from collections.abc import Iterator
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.evaluation.handwritten import NUANCES, read_handwritten
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.triplets import GeneratedTriplets, Mix, Part
from kinoscope.training.triplets.word_files import SPLITS

HANDWRITTEN = Path(__file__).parents[1] / "tests" / "data" / "handwritten"

COUNTS: dict[Part, int] = {
    "core": 6000,
    "time": 1500,
    "direction": 500,
    "state": 500,
    "adverb": 500,
    "order": 1500,
    "negation": 1500,
    "composed": 8000,
}
"""Of the training, 20 000 in all as in TARA (arXiv 2512.13511): its core and composed parts give
way to order, directions, states and manners, which it has not. Time stays near a tenth."""
HELD_OUT = 200
"""Of each part of another split."""
VIDEOS = 200


def mix(split: str) -> Mix:
    """Of the training, or a small one of validation or test."""
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: choose {', '.join(SPLITS)}")
    return Mix(
        counts=COUNTS if split == "train" else dict.fromkeys(COUNTS, HELD_OUT),
        sources=lambda: (GeneratedTriplets(split),),
        evaluated={
            "handwritten sentences": handwritten_texts,
            "captions of the world's test": world_texts,
        },
    )


def handwritten_texts() -> Iterator[str]:
    """All sentences of the handwritten triples."""
    for nuance in NUANCES:
        for triple in read_handwritten(HANDWRITTEN / f"{nuance}.tsv"):
            yield from (triple.anchor, triple.right, triple.wrong)


def world_texts() -> Iterator[str]:
    """Captions of the first videos of the generated world's test split."""
    source = GeneratedSource("test", VIDEOS)
    for number in range(len(source)):
        yield from source.example(number).captions
