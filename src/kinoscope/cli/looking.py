"""What commands on a library share: which videos, how good a match, what stdin asks."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinoscope.addresses import path_of
from kinoscope.errors import UsageError

if TYPE_CHECKING:
    from kinoscope.calibration import Calibration
    from kinoscope.filters import Filters
    from kinoscope.index.handle import Index
    from kinoscope.types import Hit

Threshold = Annotated[
    float | None,
    typer.Option(help="Least score; 0 is the library's average, 0.1 clearly related."),
]
Folder = Annotated[
    Path | None,
    typer.Option(parser=path_of, metavar="PATH", help="Only videos under this folder or address."),
]
Name = Annotated[str | None, typer.Option(help="Only files of such names, '*.mov' or '*/2025/*'.")]
Since = Annotated[str | None, typer.Option(help="Only files changed since, 2026-01-31 or 7d.")]
Until = Annotated[str | None, typer.Option(help="Only files changed until then, 2026-01-31 or 7d.")]
MinDuration = Annotated[float | None, typer.Option(help="Only videos of at least S seconds.")]
MaxDuration = Annotated[float | None, typer.Option(help="Only videos of at most S seconds.")]
Rerank = Annotated[
    int | None,
    typer.Option("--rerank", metavar="N", help="Rank the best N anew by the model's yes and no."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="Of --rerank: gives probabilities."),
]
Sure = Annotated[
    bool, typer.Option("--sure", help="Show only good matches, maybe none; needs a calibration.")
]


def filters_of(
    folder: Path | None,
    name: str | None,
    when: tuple[str | None, str | None],
    lengths_s: tuple[float | None, float | None],
) -> "Filters":
    """The options together; `when` is since and until, `lengths_s` the least and the most."""
    from kinoscope.filters import Filters

    return Filters(
        folder=folder,
        name=name,
        since=_parse_time("--since", when[0]),
        until=_parse_time("--until", when[1]),
        min_duration_s=lengths_s[0],
        max_duration_s=lengths_s[1],
    )


@dataclass(frozen=True)
class Matching:
    """--rerank, --calibration and --sure; `top` is 0 without them."""

    top: int
    calibration: "Calibration | None"
    sure: bool

    @classmethod
    def checked(cls, top: int | None, file: Path | None, sure: bool) -> "Matching":
        """Says what does not go together before any index is opened."""
        from kinoscope.calibration import Calibration

        if top is None and (file is not None or sure):
            raise UsageError("--calibration and --sure are of --rerank N: say how many hits")
        if top is not None and top < 1:
            raise UsageError(f"--rerank {top}: re-rank at least 1 hit")
        if sure and file is None:
            raise UsageError("--sure needs probabilities: name a file with --calibration")
        return cls(top or 0, None if file is None else Calibration.read(file), sure)

    def ranked(self, library: "Index", hits: "Sequence[Hit]", text: str | None) -> "list[Hit]":
        """Hits in the order of what the model says of each and the text, or as they are."""
        if not self.top:
            return list(hits)
        from kinoscope.matcher import Matcher

        if text is None:
            raise UsageError("--rerank asks the model about a text: give one to look for")
        matcher = Matcher(library.embedder, self.calibration)
        found = matcher.rerank(hits, text, top=self.top)
        return matcher.good(found) if self.sure else found


def lines() -> Iterator[str]:
    """What is asked on stdin, one a line."""
    if sys.stdin is None:
        raise UsageError("no input: `-` reads queries from stdin, which is closed")
    yield from (line.strip() for line in sys.stdin if line.strip())


def _parse_time(option: str, text: str | None) -> float | None:
    """`7d` or an ISO date (local time) -> unix seconds, at least 0."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d+(\.\d+)?d", text):
            return max(0.0, (datetime.now(UTC) - timedelta(days=float(text[:-1]))).timestamp())
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r}: write a date like 2026-01-31, or days like 7d"
        ) from None


def hit_fields(hit: "Hit") -> dict[str, Any]:
    """A hit as `--json` prints it."""
    return {
        "rank": hit.rank,
        "path": str(hit.path),
        "start_s": hit.span.start_s,
        "end_s": hit.span.end_s,
        "score": hit.score,
        "cosine": hit.cosine,
        "copies": [str(path) for path in hit.copies],
        **({"steps": hit.steps, "reason": hit.reason} if hit.steps else {}),
        **({} if hit.probability is None else {"probability": hit.probability}),
    }
