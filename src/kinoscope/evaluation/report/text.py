"""A report as Markdown: pictures are told in words, and no name can write marks of its own."""

import html
import re
from collections.abc import Iterable, Sequence

from kinoscope.evaluation.report.blocks import Picture, Section, Table

_MARKS = re.compile(r"([\\`*\[\]|])")


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The whole text."""
    parts = [f"# {escaped(title)}"]
    for section in sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: str | Sequence[str] | Table | Picture) -> str:
    if isinstance(block, Table):
        return table(block)
    if isinstance(block, Picture):
        return f"(In report.html: {escaped(block.caption)}.)"
    if isinstance(block, str):
        return escaped(block)
    return "\n".join(f"* {escaped(each)}" for each in block)


def table(block: Table) -> str:
    """A caption and a table under it."""
    side = "---:" if block.numbers else "---"
    lines = [_line(block.head), _line(["---", *[side] * (len(block.head) - 1)], plain=True)]
    return "\n".join([f"{escaped(block.caption)}:", "", *lines, *map(_line, block.rows)])


def _line(cells: Sequence[str], *, plain: bool = False) -> str:
    return f"| {' | '.join(cells if plain else map(escaped, cells))} |"


def escaped(text: str) -> str:
    """`a|b <c>` -> `a\\|b &lt;c&gt;`."""
    return _MARKS.sub(r"\\\1", html.escape(text, quote=False))
