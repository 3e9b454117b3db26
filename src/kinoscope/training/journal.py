"""The record of a run, a line a step in JSONL and CSV, and its curves as a picture."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from kinoscope.durable import flush
from kinoscope.errors import UsageError
from kinoscope.libraries import imported

LINES, TABLE, PICTURE = "journal.jsonl", "journal.csv", "journal.png"
Record = Mapping[str, float | None]

_PLOTS = "pip install 'kinoscope[eval]'"


class Journal:
    """Appends each step's record to `journal.jsonl` and `journal.csv`.

    A record has `step` and any numbers beside; steps of different tasks have different terms, so
    that the table gets a column at the first step that has it.
    """

    def __init__(self, folder: Path, after_step: int = 0) -> None:
        """Goes on after a step: lines behind it, and a line cut off by a kill, leave."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lines, self._table = folder / LINES, folder / TABLE
        records = [r for r in _whole_lines(self._lines) if r["step"] <= after_step]
        self._last = records[-1]["step"] if records else 0
        self._columns = list(dict.fromkeys(key for record in records for key in record))
        _replace(self._lines, "".join(f"{json.dumps(record)}\n" for record in records))
        self._rewrite_table()

    def append(self, record: Record) -> None:
        """Adds one step; its number is larger than all before. `OSError` if the disk refuses."""
        step = record["step"]
        assert step is not None and step > self._last, (step, self._last)
        with self._lines.open("a") as stream:
            stream.write(f"{json.dumps(record)}\n")
        self._last = step
        unknown = [key for key in record if key not in self._columns]
        if unknown:
            self._columns += unknown
            self._rewrite_table()
        else:
            with self._table.open("a", newline="") as stream:
                csv.DictWriter(stream, self._columns).writerow(record)

    def flush(self) -> None:
        """Waits until all lines are on the disk."""
        flush(self._lines)
        flush(self._table)

    def _rewrite_table(self) -> None:
        text = StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(_whole_lines(self._lines))
        _replace(self._table, text.getvalue())


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """All records of a run, in order; `UsageError` where there is no journal."""
    path = folder / LINES
    if not path.is_file():
        raise UsageError(f"{folder} has no {LINES}: name the folder of a training run")
    return list(_whole_lines(path))


def plot(folder: Path) -> Path:
    """Draws losses, learning rate and gradient, and validation against steps: `journal.png`.

    Raises `UsageError` for a folder without steps, `SetupError` without matplotlib.
    """
    records = read_journal(folder)
    if not records:
        raise UsageError(f"{folder} has no steps yet: train first")
    figures = imported("matplotlib.figure", _PLOTS)
    names = list(dict.fromkeys(key for record in records for key in record))
    panels = {
        "loss": [name for name in names if name.split("/")[0] == "loss"],
        "learning rate": ["lr"],
        "gradient norm": ["grad_norm"],
        "validation": [name for name in names if name.startswith("validate/")],
    }
    drawn = {title: keys for title, keys in panels.items() if set(keys) & set(names)}
    figure = figures.Figure(figsize=(8, 3 * len(drawn)), layout="constrained")
    grid = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)
    for axes, (title, keys) in zip(grid[:, 0], drawn.items(), strict=True):
        for key in keys:
            _draw(axes, records, key)
        axes.set_ylabel(title)
        if len(keys) > 1:
            axes.legend()
    grid[-1, 0].set_xlabel("step")
    partial = folder / f"{PICTURE}.partial"
    figure.savefig(partial, format="png")
    return partial.replace(folder / PICTURE)


def _draw(axes: Any, records: list[dict[str, Any]], key: str) -> None:
    points = [(record["step"], record[key]) for record in records if record.get(key) is not None]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if points:
        axes.plot(*zip(*points, strict=True), label=key, marker="." if len(points) < 50 else None)


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Records up to the first line that is none: a kill may have cut the last one off."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(record, dict) or "step" not in record:
            return
        yield record


def _replace(path: Path, text: str) -> None:
    """New content, all of it or none."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", newline="") as stream:
            stream.write(text)
        flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
