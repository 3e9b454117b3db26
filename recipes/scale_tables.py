"""The table of indexing by Ray, for the page on many machines."""

from pathlib import Path

from kinoscope.evaluation.results import load_result
from recipes.training_tables import table

NAME = "ray_index"
RESULTS = Path(__file__).parents[1] / "results"

_ROWS = (
    ("rows equal to those of one machine, undisturbed", "rows_equal_local"),
    ("of these, clips whose vectors have the very same bits", "clips_equal_bit_for_bit"),
    ("runs whose driver was killed, and that went on where they stopped", "resumed_after_kill"),
    ("runs that lost an actor or a task, and came to their end", "ended_after_kill"),
    ("rows lost after all kills", "rows_lost"),
    ("rows that differ after all kills", "rows_differing_after_kills"),
    ("processes that outlived their run", "processes_left"),
)


def ray_table() -> str:
    """A row a figure, with what it is out of."""
    result = load_result(NAME, folder=RESULTS)
    rows = [
        [label, f"{result.metrics[name].value:,.0f}", f"{result.metrics[name].n:,}"]
        for label, name in _ROWS
    ]
    return table(("what", "count", "of"), rows) + f"\nBy `{result.command}`.\n"
