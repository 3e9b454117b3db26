"""What a training of `mini` says of itself: videos, steps, minutes, validation on the way.

    python -m recipes.mini_training [--more] FOLDER ...

FOLDERs are those of its stages, in their order; two with one name are one stage in pieces. With
`--more` they stand behind what was saved before: the training went on from its weights.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Metric, load_result, save_result
from kinoscope.training.checkpoint import Checkpoints
from kinoscope.training.journal import read_journal
from kinoscope.training.timing import STAGES

VALIDATED = "validate/"

_SOURCE = re.compile(r"(?:^| \+ )(\S.*?) [0-9a-f]{64} (\d+) of \d+ \(")
"""A library as a checkpoint describes it: `world train 0..99 HASH 100 of 100 (HASH) SAMPLING`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Saves `results/mini_training.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.mini_training")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--more", action="store_true", help="keep what was saved before")
    asked = parser.parse_args(arguments)
    stages: list[Any] = []
    if asked.more:
        stages.extend(cast("list[Any]", load_result("mini_training").details["stages"]))
    stages.extend(told(folder) for folder in asked.folders)
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
    main()
