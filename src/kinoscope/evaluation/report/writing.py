"""The report: sections of all that was gathered, written as `report.md` and `report.html`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from kinoscope.durable import write_atomically
from kinoscope.errors import SetupError
from kinoscope.evaluation.report.blocks import Section, shown
from kinoscope.evaluation.report.curves import curves
from kinoscope.evaluation.report.figures import figure_tables, published_table
from kinoscope.evaluation.report.gathered import Gathered, Row, gather
from kinoscope.evaluation.report.page import page
from kinoscope.evaluation.report.protocols import difference_tables, origin_table
from kinoscope.evaluation.report.significance import significance
from kinoscope.evaluation.report.spaces import space_section
from kinoscope.evaluation.report.strips import strips
from kinoscope.evaluation.report.text import markdown

TITLE = "Evaluation"
_NAMED = 20


def write_report(
    folders: Sequence[Path],
    to: Path,
    *,
    videos: Path | None = None,
    against: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Path, Path, Gathered]:
    """Writes both forms of what lies below the folders; returns their paths and what was read.

    Args:
        folders: with saved evaluations and analyses, at any depth.
        to: where `report.md` and `report.html` go, each whole or not at all.
        videos: where videos lie by id, for strips of moments; none are shown without.
        against: the model that others are tested against; the first by name if None.
        tell: is told what is being computed.

    Raises `UsageError` if nothing can be read, `SetupError` where the disk refuses.
    """
    found = gather(folders)
    sections = [_overview(found)]
    for benchmark, rows in found.benchmarks.items():
        sections.append(_benchmark(benchmark, rows, videos, against, tell))
    sections += [space_section(each) for each in found.analyses]
    paths = to / "report.md", to / "report.html"
    try:
        to.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[0], markdown(TITLE, sections))
        write_atomically(paths[1], page(TITLE, sections))
    except OSError as error:
        raise SetupError(f"cannot write in {to} ({error.strerror}): choose another") from error
    return *paths, found


def _overview(found: Gathered) -> Section:
    count = sum(len(rows) for rows in found.benchmarks.values())
    told = [
        f"Saved evaluations: {count}, benchmarks: {len(found.benchmarks)}, analyses:"
        f" {len(found.analyses)}. Nothing is averaged over rows: each is one run."
    ]
    if not found.unread:
        return Section(title="What was read", blocks=told)
    reasons = [shown(why) for why in found.unread.values()]
    more = len(reasons) - _NAMED
    told.append(f"Files left out: {len(reasons)}.")
    listed = [*reasons[:_NAMED], *([f"and {more} more"] if more > 0 else [])]
    return Section(title="What was read", blocks=[*told, listed])


def _benchmark(
    name: str,
    rows: Sequence[Row],
    videos: Path | None,
    against: str | None,
    tell: Callable[[str], None],
) -> Section:
    known = published_table(name)
    return Section(
        title=shown(name),
        blocks=[
            *figure_tables(rows),
            *difference_tables(rows),
            *significance(rows, against, tell),
            *curves(rows),
            *(strips(rows, videos) if videos is not None else ()),
            *([] if known is None else [known]),
            origin_table(rows),
        ],
    )
