"""Figures that others published: beside ours for orientation, never in a column with them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class Published:
    """One figure of a paper.

    Attributes:
        benchmark: as ours are called.
        figure: what was measured, in the words of its authors.
        model: whose figure it is.
        percent: 0 to 100, as printed.
        setting: `zero-shot`, `fine-tuned`, ...; empty where we have not recorded it.
        note: what sets its protocol apart from ours.
        paper: its arXiv number, else its name.
        table: where it stands there; empty where we have not recorded it.
    """

    benchmark: str
    figure: str
    model: str
    percent: float
    setting: str
    note: str
    paper: str
    table: str


@cache
def published() -> Sequence[Published]:
    """All of `published.tsv`."""
    text = files("kinoscope.evaluation.report").joinpath("published.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(Published(percent=float(row.pop("percent")), **row) for row in rows)
