"""Fuzzes every parser, led by coverage; decoding, by mutated media; an index, by damaged files.

`python -m recipes.fuzz [PARSER_RUNS [MEDIA_MUTANTS]]` goes on where it was stopped, in `runs/fuzz`.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from kinoscope.evaluation.results import Metric, save_result
from recipes import fuzz_index, fuzz_media
from recipes.fuzz_targets import parsers

PLACE = Path("runs") / "fuzz"
PARSER_RUNS, MEDIA_MUTANTS, INDEXES = 5_000, 10_000, 200
_SECONDS = 60
_HANG = 70  # libFuzzer's exit code for an input that took too long


def main() -> None:
    """Saves `results/fuzz.json`; fails if anything crashed or hung where nothing may."""
    runs, mutants = (*map(int, sys.argv[1:]), *(PARSER_RUNS, MEDIA_MUTANTS)[len(sys.argv) - 1 :])
    outcomes = fuzz_media.run(mutants, PLACE)
    indexes = fuzz_index.run(INDEXES, PLACE)
    found = {name: guided(name, runs, PLACE / name.replace(" ", "-")) for name in parsers()}
    save_result(
        "fuzz", metrics(found, outcomes, indexes), details=details(found, outcomes, indexes)
    )
    wrong = {name: said for name, said in found.items() if said["crashes"] or said["hangs"]}
    outside = fuzz_media.outside(outcomes + indexes)
    if wrong or outside:
        sys.exit(f"crashes or hangs: {json.dumps(wrong, indent=1)} {outside}")
    shutil.rmtree(PLACE)


def guided(name: str, runs: int, folder: Path) -> dict[str, Any]:
    """What atheris found in one parser; read where that was found out already."""
    done = folder / "done.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "recipes.fuzz_guided", name, str(folder), str(runs)]
    with (folder / "log").open("w") as log:
        code = subprocess.run([*command, str(_SECONDS)], stdout=log, stderr=log).returncode
    said = json.loads((folder / "found.json").read_text())
    if code not in (0, _HANG):
        said["crashes"][f"exit code {code}"] = f"see {folder / 'log'}"
    said["hangs"] = int(code == _HANG)
    done.write_text(json.dumps(said))
    print(f"{name:<24} {said['mutants']} mutants", said["crashes"], flush=True)
    return dict(said)


def metrics(
    found: dict[str, dict[str, Any]], outcomes: Counter[str], indexes: Counter[str]
) -> dict[str, Metric]:
    """Sums; `media` are mutants that went to a worker, which may crash or hang by itself."""
    tried = sum(said["mutants"] for said in found.values())
    wrong = fuzz_media.outside(outcomes + indexes)
    media = sum(outcomes.values()) - sum(fuzz_media.outside(outcomes).values())
    mutants = tried + media + sum(indexes.values())
    hangs = sum(count for name, count in wrong.items() if "hang" in name)
    crashes = sum(wrong.values()) - hangs
    for said in found.values():
        crashes += len(said["crashes"])
        hangs += said["hangs"]
    return {
        "parsers": Metric(value=len(found), n=len(found)),
        "mutants": Metric(value=mutants, n=mutants),
        "media": Metric(value=media, n=max(1, media)),
        "indexes": Metric(value=sum(indexes.values()), n=mutants),
        "crashes": Metric(value=crashes, n=mutants),
        "hangs": Metric(value=hangs, n=mutants),
        "workers_crashed": Metric(value=outcomes["crashed"], n=max(1, media)),
        "workers_given_up": Metric(value=outcomes["timeout"], n=max(1, media)),
    }


def details(
    found: dict[str, dict[str, Any]], outcomes: Counter[str], indexes: Counter[str]
) -> dict[str, object]:
    """Mutants by parser, and how media and damaged indexes ended."""
    return {
        "mutants": {name: said["mutants"] for name, said in found.items()},
        "media": dict(sorted(outcomes.items())),
        "indexes": dict(sorted(indexes.items())),
    }


if __name__ == "__main__":
    main()
