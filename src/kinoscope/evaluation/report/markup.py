"""Elements of a page, in which every text and attribute is escaped; and drawings made of them."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

_WIDTH, _HEIGHT, _EDGE, _TOP = 480, 300, 46, 36
_DOTTED = 12
"""A line of so many points at most has a dot at each."""
STYLES = 6
"""Lines that can be told apart, by colour and by dashes."""


def element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """`element("td", "a", scope="row")`; `class_` is `class`, other `_` are `-`."""
    made = Element(tag, {key.rstrip("_").replace("_", "-"): v for key, v in attributes.items()})
    for child in children:
        if not isinstance(child, str):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def line_chart(
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    *,
    axes: tuple[str, str],
    marks: Sequence[tuple[float, str]],
    title: str,
) -> Element:
    """Named lines of points in the unit square, with a legend.

    Args:
        lines: a name and its points, both coordinates 0 to 1, y upwards.
        axes: what x and y are.
        marks: places on x with what stands under them.
        title: what it shows, for those who cannot see it.
    """
    drawn = _frame(axes, title)
    for place, told in marks:
        drawn.append(_rule((place, 0), (place, 1)))
        under = {"x": f"{_x(place):.1f}", "y": f"{_y(0) + 16:.1f}"}
        drawn.append(element("text", told, text_anchor="middle", **under))
    for number, (_, points) in enumerate(lines):
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        style = f"s{number % STYLES}"
        drawn.append(element("polyline", points=path, class_=f"line {style}"))
        for right, up in points if len(points) <= _DOTTED else ():
            at = {"cx": f"{_x(right):.1f}", "cy": f"{_y(up):.1f}"}
            drawn.append(element("circle", r="4", class_=f"dot {style}", **at))
    return element("div", drawn, _legend([name for name, _ in lines]), class_="chart")


def _legend(names: Sequence[str]) -> Element:
    legend = element("ul", class_="legend")
    for number, name in enumerate(names):
        sample = element("svg", viewBox="0 0 32 8", width="32", height="8", aria_hidden="true")
        SubElement(
            sample, "line", {"x1": "0", "x2": "32", "y1": "4", "y2": "4",
                             "class": f"line s{number % STYLES}"},
        )  # fmt: skip
        legend.append(element("li", sample, f" {name}"))
    return legend


def _frame(axes: tuple[str, str], title: str) -> Element:
    """An empty chart: a grid of quarters, the names of both axes."""
    drawn = element(
        "svg", element("title", title), viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        aria_label=title,
    )  # fmt: skip
    for quarter in range(5):
        y = f"{_y(quarter / 4):.1f}"
        drawn.append(_rule((0, quarter / 4), (1, quarter / 4)))
        drawn.append(element("text", str(25 * quarter), x=str(_EDGE - 6), y=y, text_anchor="end"))
    middle = f"{_x(0.5):.1f}"
    drawn.append(element("text", axes[0], x=middle, y=str(_HEIGHT - 12), text_anchor="middle"))
    drawn.append(element("text", axes[1], x="2", y="10"))
    return drawn


def _rule(start: tuple[float, float], end: tuple[float, float]) -> Element:
    return element(
        "line", class_="grid", x1=f"{_x(start[0]):.1f}", y1=f"{_y(start[1]):.1f}",
        x2=f"{_x(end[0]):.1f}", y2=f"{_y(end[1]):.1f}",
    )  # fmt: skip


def _x(part: float) -> float:
    return _EDGE + part * (_WIDTH - _EDGE - 16)


def _y(part: float) -> float:
    return _HEIGHT - _EDGE - part * (_HEIGHT - _EDGE - _TOP)


def span_bars(
    bars: Sequence[tuple[str, Sequence[tuple[float, float]]]], end_s: float, title: str
) -> Element:
    """A row of bars a name over a line of time from 0 to `end_s`, which is above 0."""
    height = 18 * len(bars)
    drawn = element(
        "svg", element("title", title), viewBox=f"0 0 {_WIDTH} {height}", role="img",
        aria_label=title,
    )  # fmt: skip
    for number, (_, spans) in enumerate(bars):
        for start_s, stop_s in spans:
            left, right = (_WIDTH * min(1.0, max(0.0, t / end_s)) for t in (start_s, stop_s))
            drawn.append(
                element(
                    "rect", x=f"{left:.1f}", y=str(18 * number + 3), height="12",
                    width=f"{max(2.0, right - left):.1f}", class_=f"bar s{number % STYLES}",
                )
            )  # fmt: skip
    return element("div", drawn, _legend([name for name, _ in bars]), class_="chart")
