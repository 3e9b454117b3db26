"""Every adapter against Transformers' own pipeline, on tiny instances of the real classes."""

import tempfile
import time
from pathlib import Path
from typing import Any

from kinoscope.backbones.catalogue import entries, table
from kinoscope.evaluation.results import Metric, save_result
from tests.backbones.checks import CHECKS
from tests.tiny import FAMILIES, tiny

LEAST = 0.9999
"""Cosine below which a check has failed."""


def main() -> None:
    """Runs all checks on all families and saves `results/backbones.json`."""
    run(FAMILIES[0])  # imports and first calls, which no family's time shall hold
    rows: list[dict[str, Any]] = [{"family": name, "checks": run(name)} for name in FAMILIES]
    found = [check for row in rows for check in row["checks"]]
    cosines = [float(check["cosine"]) for check in found]
    metrics = {
        "families": Metric(value=len(rows), n=len(rows)),
        "checks": Metric(value=len(found), n=len(found)),
        "failed": Metric(value=sum(not cosine >= LEAST for cosine in cosines), n=len(found)),
        "worst_cosine": Metric(value=min(cosines), n=len(found)),
    }
    details = {"adapters": rows, "least": LEAST, "full_size": table(entries())}
    save_result("backbones", metrics, details=details)
    print({name: metric.value for name, metric in metrics.items()})


def run(family: str) -> list[dict[str, Any]]:
    """Each check with its least cosine, 0 where it found a fault, and its wall time."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = tiny(family, Path(folder) / "tiny")
        for name, check in CHECKS.items():
            start_s = time.perf_counter()
            try:
                cosine = check(family, checkpoint)
            except AssertionError as fault:
                print(f"{family}: {name}: {fault}")
                cosine = 0.0
            wall_s = round(time.perf_counter() - start_s, 3)
            found.append({"name": name, "cosine": cosine, "wall_s": wall_s})
    return found


if __name__ == "__main__":
    main()
