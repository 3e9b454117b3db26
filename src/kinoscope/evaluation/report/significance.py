"""Whether models differ on the same queries: paired permutation tests against one of them."""

import re
from collections.abc import Callable, Sequence

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import compared
from kinoscope.evaluation.report.blocks import Table, shown
from kinoscope.evaluation.report.figures import cell
from kinoscope.evaluation.report.gathered import Row
from kinoscope.evaluation.report.protocols import asked, differing

_NOT_TESTED = re.compile(r"(.+_)?(tied|mnr|mdr)")
_LEVEL = 0.05


def significance(
    rows: Sequence[Row], against: str | None, tell: Callable[[str], None]
) -> list[Table | str]:
    """Every row against the one whose label or model is `against`, else against the first.

    Nothing for a single row. Pairs that were asked unlike queries are refused, and said so.
    """
    if len(rows) < 2:
        return []
    base = _base(rows, against)
    if base is None:
        return [f"No row here is called {shown(against)}: nothing is compared with it."]
    tests, refused = [], []
    for row in rows:
        if row is not base:
            tell(shown(f"{row.found.benchmark}: {row.label} against {base.label}"))
            done, why = _tests(row, base)
            tests += done
            refused += why
    blocks: list[Table | str] = []
    if tests:
        blocks.append(
            Table(
                caption=f"Difference from {shown(base.label)}, in points, with its 95 % interval;"
                " p by paired permutation, all queries of a video together",
                head=["model", "figure", "difference", "p", "asked differently"],
                rows=tests,
            )
        )
        blocks.append(
            f"{len(tests)} tests: of models that do not differ about {_LEVEL * len(tests):.1f} of"
            f" them would have p below {_LEVEL} by chance."
        )
    return [*blocks, *refused]


def _base(rows: Sequence[Row], against: str | None) -> Row | None:
    if against is None:
        return rows[0]
    return next((row for row in rows if against in (row.label, row.found.model)), None)


def _tests(row: Row, base: Row) -> tuple[list[list[str]], list[str]]:
    unlike = differing([asked(row.found), asked(base.found)])
    done, why = [], {}
    for name, values in row.found.values.items():
        if _NOT_TESTED.fullmatch(name) or name not in base.found.values:
            continue
        try:
            found = compared(values, base.found.values[name])
        except UsageError as error:
            why[name] = str(error)
            continue
        told = cell(name, found.mean)
        flags = ", ".join(shown(field) for field in unlike) or "-"
        done.append([shown(row.label), shown(name), told, f"{found.p_value:.4f}", flags])
    if not why:
        return done, []
    example = shown(next(iter(why.values())))
    names = ", ".join(shown(name) for name in why)
    return done, [f"{shown(row.label)} is not compared in {names}: {example}."]
