"""The leaderboard: all saved evaluations, for the page that `recipes.write_docs` writes."""

from collections.abc import Iterator
from pathlib import Path

from kinoscope.evaluation.report.figures import figure_tables, published_table
from kinoscope.evaluation.report.gathered import gather
from kinoscope.evaluation.report.protocols import difference_tables, origin_table
from kinoscope.evaluation.report.text import escaped, table
from kinoscope.evaluation.saved import evaluations_in

EVALUATIONS = Path(__file__).parents[1] / "results" / "eval"


def leaderboard(folder: Path = EVALUATIONS) -> str:
    """A headline a benchmark, its tables under it; says so where nothing was measured.

    A file that cannot be read is no reason to publish the others: it is an error.
    """
    if not evaluations_in(folder):
        return "Not measured yet: there is no saved evaluation in `results/eval`.\n"
    found = gather([folder])
    assert not found.unread, f"mend or remove {', '.join(map(str, found.unread))}"
    parts: list[str] = []
    for benchmark, rows in found.benchmarks.items():
        parts.append(f"### {escaped(benchmark)}")
        parts += map(table, figure_tables(rows))
        parts += map(table, difference_tables(rows))
        parts += _theirs(benchmark)
        parts.append(table(origin_table(rows)))
    return "\n\n".join(parts) + "\n"


def _theirs(benchmark: str) -> Iterator[str]:
    known = published_table(benchmark)
    if known is not None:
        yield table(known)
