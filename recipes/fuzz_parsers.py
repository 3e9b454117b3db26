"""Tries a parser: what it refuses, it refuses in a sentence; any other exception is a crash."""

import random
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kinoscope.errors import KinoscopeError
from recipes.fuzz_mutations import mutant

VIDEOS = ("a.mp4", "b.mp4", "v_c.mp4", "film/film_1.mp4")
"""Files that annotations may name."""
_NO_REFUSAL = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError),
    *(NameError, OSError, RuntimeError, SyntaxError, SystemError, TypeError, ValueError),
)


@dataclass(frozen=True, kw_only=True)
class Parser:
    """A parser under test.

    Attributes:
        seeds: sound input.
        read: gets the input, and a folder of its own in which `videos/` lies; raises
            `KinoscopeError` for what it refuses, and `AssertionError` for an answer that is wrong.
    """

    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Crash:
    """An exception that is no refusal: its kind, the place in this project, the input."""

    what: str
    content: bytes


def tried(parser: Parser, content: bytes, folder: Path) -> Crash | None:
    """None if the parser takes or refuses the input as it should."""
    try:
        parser.read(content, folder)
    except KinoscopeError as error:
        assert str(error).strip(), "a refusal without a word"
    except _NO_REFUSAL as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "kinoscope" in f.filename]
        place = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.name}"
        return Crash(f"{type(error).__name__} in {where}: {error}"[:300], content)
    return None


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder with the videos that annotations may name."""
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as name:
        for video in VIDEOS:
            path = Path(name) / "videos" / video
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"film")
        yield Path(name)


def replay(parser: Parser, count: int, seed: int, folder: Path) -> dict[str, Crash]:
    """Crashes by what they are, on the seeds and so many mutants of them."""
    chance = random.Random(seed)
    found: dict[str, Crash] = {}
    for content in (*parser.seeds, *(mutant(parser.seeds, chance) for _ in range(count))):
        crash = tried(parser, content, folder)
        if crash is not None:
            found.setdefault(crash.what.partition(":")[0], crash)
    return found
