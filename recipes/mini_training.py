"""What a training of `mini` says of itself: videos, steps, minutes, validation on the way.

    python -m recipes.mini_training FOLDER ...

FOLDERs are those of its stages, in their order; two with one name are one stage in pieces.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.training.checkpoint import Checkpoints
from kinoscope.training.journal import read_journal
from kinoscope.training.timing import STAGES

VALIDATED = "validate/"

_SOURCE = re.compile(r"(?:^| \+ )(\S.*?) [0-9a-f]{64} (\d+) of \d+ \(")
"""A library as a checkpoint describes it: `world train 0..99 HASH 100 of 100 (HASH) SAMPLING`."""


def main(folders: Sequence[str]) -> None:
    """Saves `results/mini_training.json`."""
    if not folders:
        raise UsageError(
            "no folder: name those of the stages of a training, such as runs/mini/stage-0"
        )
    stages = [told(Path(folder)) for folder in folders]
    minutes = Metric(value=sum(stage["minutes"] for stage in stages), n=len(stages))
    steps = Metric(value=sum(stage["steps"] for stage in stages), n=len(stages))
    save_result("mini_training", {"minutes": minutes, "steps": steps}, details={"stages": stages})
    for stage in stages:
        print(stage)


def told(folder: Path) -> dict[str, Any]:
    """Of one stage."""
    records = read_journal(folder)
    spent_s = sum(record[f"{part}_s"] for record in records for part in STAGES)
    losses = sorted({name.removeprefix("loss/") for r in records for name in r if "loss/" in name})
    return {
        "stage": folder.name,
        "videos": videos(folder),
        "steps": len(records),
        "minutes": round(spent_s / 60, 1),
        "losses": {name: sum(f"loss/{name}" in r for r in records) for name in losses},
        "validated": [
            {"step": record["step"]}
            | {
                name.removeprefix(VALIDATED): round(value, 4)
                for name, value in record.items()
                if name.startswith(VALIDATED)
            }
            for record in records
            if any(name.startswith(VALIDATED) for name in record)
        ],
    }


def videos(folder: Path) -> dict[str, int]:
    """How many of each source were taught, by the last checkpoint; empty where none was kept."""
    checkpoints = Checkpoints(folder=folder, config={})
    steps = checkpoints.steps()
    if not steps:
        return {}
    described = str(checkpoints.manifest(steps[-1])["config"]["task"]["data"])
    return {name: int(count) for name, count in _SOURCE.findall(described)}


if __name__ == "__main__":
    main(sys.argv[1:])
