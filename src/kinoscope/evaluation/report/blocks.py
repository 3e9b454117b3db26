"""What a report is made of, before it is a page or a text: sections, tables, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

_JOINERS = "\u200c\u200d"
_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Table:
    """A caption, heads of columns, and rows whose first cell is the row's head.

    `numbers` says that all other cells are figures, set to the right.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = False

    def __post_init__(self) -> None:
        assert self.rows and all(len(row) == len(self.head) for row in self.rows), self.caption


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A drawing or a photograph as an element of a page, and what it shows in words."""

    element: Element
    caption: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """A headline and what stands under it; a `str` is a paragraph, a list of them a list."""

    title: str
    blocks: Sequence["str | Sequence[str] | Table | Picture"]


def shown(text: object) -> str:
    """Words of a file as a person may see them: no control or direction marks, not endless."""
    said = str(text)
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
    return "".join(c if c.isprintable() or c in _JOINERS else "\ufffd" for c in said)
