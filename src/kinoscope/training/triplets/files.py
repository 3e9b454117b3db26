"""Triplets as files: JSONL with all fields, or CSV in the form that is published."""

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from kinoscope.durable import flush
from kinoscope.errors import SetupError, UsageError
from kinoscope.training.triplets.triplet import Triplet

COLUMNS = ("sent0", "sent1", "hard_neg", "part", "why")


def write_triplets(file: Path, triplets: Sequence[Triplet]) -> None:
    """Writes a `.jsonl` or `.csv`, whole or not at all; `read_triplets` reads both.

    Raises `UsageError` for another ending, `SetupError` where the disk refuses.
    """
    writers: Mapping[str, Callable[[TextIO, Sequence[Triplet]], None]] = {
        ".jsonl": _write_jsonl,
        ".csv": _write_csv,
    }
    write = writers.get(file.suffix.lower())
    if write is None:
        raise UsageError(f"{file} is neither .jsonl nor .csv: choose one of them")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            write(stream, triplets)
        flush(unfinished)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SetupError(
            f"cannot write {file}: {error.strerror or error}; choose another"
        ) from error


def row_of(triplet: Triplet) -> dict[str, str]:
    """Columns of the published form, with part and reason; the anchor of an edit holds both."""
    anchor = triplet.anchor
    if triplet.edit:
        anchor = f"Source: {triplet.anchor}; Edit: {triplet.edit}"
    values = (anchor, triplet.positive, triplet.negative, triplet.part, triplet.why)
    return dict(zip(COLUMNS, values, strict=True))


def _write_jsonl(stream: TextIO, triplets: Sequence[Triplet]) -> None:
    for triplet in triplets:
        stream.write(json.dumps(asdict(triplet), ensure_ascii=False) + "\n")


def _write_csv(stream: TextIO, triplets: Sequence[Triplet]) -> None:
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows(row_of(triplet) for triplet in triplets)
