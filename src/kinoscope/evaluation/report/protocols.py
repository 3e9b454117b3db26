"""What sets results on one benchmark apart: what was asked, and how each model read it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

from kinoscope.evaluation.report.blocks import Table, shown
from kinoscope.evaluation.report.gathered import Row
from kinoscope.evaluation.saved import Evaluation, Protocol

OF_THE_MODEL = frozenset(
    {"sampling", "frames", "resolution", "prompts", "template", "pooling", "thinking", "dimension"}
)
"""Fields of a protocol that may differ and leave the question the same."""
_HASH = re.compile(r"[0-9a-f]{64}")


def asked(found: Evaluation) -> dict[str, str]:
    """Everything that must be equal for two results to compare, by field, in words."""
    told = {
        field.name: getattr(found.protocol, field.name)
        for field in fields(Protocol)
        if field.name not in OF_THE_MODEL and field.name != "details"
    }
    told["variant"] = " ".join(found.variant) or "none"
    left = found.left_out
    told["left out"] = {
        "rows": dict(left.rows),
        "absent": len(left.absent),
        "failed": len(left.failed),
        "queries": left.queries,
    }
    return {name: words(value) for name, value in told.items()}


def details(found: Evaluation) -> dict[str, str]:
    """What the benchmark itself tells of a run: chance and counts, but also ties, by field."""
    return {name: words(value) for name, value in found.protocol.details.items()}


def read(found: Evaluation) -> dict[str, str]:
    """How the model saw and embedded what it was asked, by field, in words."""
    told = {name: getattr(found.protocol, name) for name in sorted(OF_THE_MODEL)}
    told |= {f"spec.{name}": value for name, value in asdict(found.spec).items()}
    return {name: words(value) for name, value in told.items()}


def words(value: object) -> str:
    """A field's value in a line: text as it is, a hash by its beginning, other things as JSON."""
    if value is None:
        return "none"
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value[:16]
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def differing(told: Sequence[Mapping[str, str]]) -> list[str]:
    """Fields that are not the same in all of them, in order."""
    names = dict.fromkeys(name for each in told for name in each)
    return [name for name in names if len({each.get(name) for each in told}) > 1]


def difference_tables(rows: Sequence[Row]) -> list[Table]:
    """A row a field that differs, a column a model; no table where nothing differs."""
    tables = []
    for caption, of in (
        ("Asked differently: these rows do not compare in figures that this changes", asked),
        ("Told differently by the benchmark, of the question or of the answers", details),
        ("Read differently by the models", read),
    ):
        told = [of(row.found) for row in rows]
        names = differing(told)
        if names:
            tables.append(
                Table(
                    caption=caption,
                    head=["field", *(shown(row.label) for row in rows)],
                    rows=[
                        [shown(name), *(shown(each.get(name, "-")) for each in told)]
                        for name in names
                    ],
                )
            )
    return tables


def origin_table(rows: Sequence[Row]) -> Table:
    """Where each row comes from: code, weights, cost, and what is missing in it."""
    return Table(
        caption="Where these rows come from",
        head=["model", "commit", "weights", "spec", "seconds", "left out", "command"],
        rows=[
            [
                shown(row.label),
                shown(row.found.commit),
                shown(row.found.spec.weights[:12]),
                row.found.spec.fingerprint[:8],
                f"{row.found.seconds['total']:.0f}" if "total" in row.found.seconds else "-",
                left_out(row.found),
                shown(row.found.command),
            ]
            for row in rows
        ],
    )


def left_out(found: Evaluation) -> str:
    """`nothing`, or counts of what a figure is not about."""
    left = found.left_out
    counts = {
        "rows": sum(left.rows.values()),
        "absent videos": len(left.absent),
        "failed videos": len(left.failed),
        "queries": left.queries,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
