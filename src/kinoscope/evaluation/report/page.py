"""A report as one page that needs nothing else: no script, no file beside it, no network."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

from kinoscope.evaluation.report.blocks import Picture, Section, Table
from kinoscope.evaluation.report.markup import element

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole page; names of sections lead to them."""
    body = element("body", element("h1", title), _contents(sections))
    main = element("main")
    for number, section in enumerate(sections):
        main.append(_section(number, section))
    body.append(main)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", _style()),
    )
    root = element("html", head, body, lang="en")
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


@cache
def _style() -> str:
    return files("kinoscope.evaluation.report").joinpath("page.css").read_text("utf-8")


def _contents(sections: Iterable[Section]) -> Element:
    links = [
        element("li", element("a", section.title, href=f"#part-{number}"))
        for number, section in enumerate(sections)
    ]
    return element("nav", element("ul", *links), aria_label="Contents")


def _section(number: int, section: Section) -> Element:
    name = f"part-{number}"
    made = element("section", element("h2", section.title, id=name), aria_labelledby=name)
    for block in section.blocks:
        made.append(_block(block))
    return made


def _block(block: str | Sequence[str] | Table | Picture) -> Element:
    if isinstance(block, Table):
        return element("figure", element("figcaption", block.caption), _table(block))
    if isinstance(block, Picture):
        return element("figure", block.element, element("figcaption", block.caption))
    if isinstance(block, str):
        return element("p", block)
    return element("ul", *(element("li", each) for each in block))


def _table(block: Table) -> Element:
    """In a box that scrolls by itself, so that the page never does sideways."""
    heads = [element("th", name, scope="col") for name in block.head]
    rows = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in block.rows
    ]
    made = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        class_="numbers" if block.numbers else "words",
        aria_label=block.caption,
    )
    return element(
        "div", made, class_="scroll", tabindex="0", role="region", aria_label=block.caption
    )
