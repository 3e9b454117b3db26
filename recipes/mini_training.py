"""What the journals of a training of `mini` say: steps, minutes, validation on the way.

    python -m recipes.mini_training FOLDER ...

FOLDERs are those of its stages, in their order; two with one name are one stage in pieces.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.training.journal import read_journal
from kinoscope.training.timing import STAGES

VALIDATED = "validate/"


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


if __name__ == "__main__":
    main(sys.argv[1:])
