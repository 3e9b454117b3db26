"""Tables of the fault matrix and of the fuzzing, for the page on security."""

from typing import Any, cast

from kinoscope.evaluation.results import Result, load_result
from recipes.training_tables import detail, table


def matrix_table() -> str:
    """A row a cell, and their sum."""
    result = load_result("faults")
    cells = cast(list[dict[str, Any]], result.details["cells"])
    names = ("cases", "rows_compared", "rows_lost", "wrong", "repairs")
    rows = [
        [cell["name"], *(f"{cell[name]:,}" for name in names)]
        if not cell["skipped"]
        else [f"{cell['name']}, not tried: {cell['skipped']}", *[""] * len(names)]
        for cell in cells
    ]
    rows.append(["all", *(f"{sum(cell[name] for cell in cells):,}" for name in names)])
    head = ("what goes wrong", "cases", "rows compared", "lost", "wrong", "mended by `--repair`")
    return table(head, rows)


def fuzz_table() -> str:
    """Parsers and media, and what their mutants did."""
    result = load_result("fuzz")
    counts = {name: int(metric.value) for name, metric in result.metrics.items()}
    parsed = counts["mutants"] - counts["media"] - counts["indexes"]
    return table(
        ("what", "mutants", "how they ended"),
        [
            [f"{counts['parsers']} parsers", f"{parsed:,}", "taken or refused in a sentence"],
            ["films, in decoding processes", f"{counts['media']:,}", _endings(result, "media")],
            ["index folders", f"{counts['indexes']:,}", _endings(result, "indexes")],
            ["crashes and hangs where nothing may", f"{counts['crashes'] + counts['hangs']}", ""],
        ],
    )


def _endings(result: Result, name: str) -> str:
    outcomes = cast(dict[str, int], detail(result, name))
    return ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes.items())
