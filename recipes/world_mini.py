"""`mini` and its controls on the generated world's test split: one table of saved evaluations.

    python -m recipes.world_mini [MODEL] [--untrained FOLDER] [--limit N] [--to DIR]

MODEL is `mini`, or a folder that it was saved in. Beside it stand the mean of its frames, which
sees no order, `mini` as training finds it, and `concepts`. Each is measured by `kinoscope eval`;
benchmarks that DIR, by default `results/eval`, has of these weights stay as they are, so that a
stopped run goes on. A limited run is printed and not saved.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinoscope.backbones.mini import SAMPLING
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.frame_means import mean_of_frames
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.saved import FOLDER, Evaluation, evaluations_in, read_evaluation
from kinoscope.evaluation.world.table import WORDED
from kinoscope.training.recipe import embedder_of
from recipes.arguments import at_least
from recipes.measuring import OPTIONS, show
from recipes.mini import untrained

UNTRAINED = Path("runs") / "untrained"
BENCHMARKS = ("retrieval", "reversal", "moments", "long-text", *WORDED)
SEEN = ("seen-retrieval", "seen-reversal", *(f"seen-{name}" for name in WORDED))
_SAYS = "world-"


@dataclass(frozen=True, kw_only=True)
class System:
    """A row of the table.

    Attributes:
        prefix: what stands before its figures.
        model: as `kinoscope eval` is told it.
        mean_of_frames: whether it is that control.
    """

    prefix: str
    model: str
    mean_of_frames: bool = False

    @property
    def benchmarks(self) -> list[str]:
        """Those that it can do; nouns of the training mean something to the trained one only."""
        worded = self.model != "concepts" and not self.mean_of_frames
        asked = BENCHMARKS if self.prefix else (*BENCHMARKS, *SEEN)
        return [f"{_SAYS}{name}" for name in asked if worded or not name.endswith(WORDED)]

    def words(self, benchmarks: Sequence[str]) -> list[str]:
        """The command that measures some of them."""
        named = [word for name in benchmarks for word in ("--benchmark", name)]
        if self.model != "concepts":
            named += ["--option", f"batch_tokens={OPTIONS.batch_tokens}"]
        if self.mean_of_frames:
            named.append("--mean-of-frames")
        return ["eval", "--model", self.model, *named]

    def spec(self) -> str:
        """Names what its vectors depend on."""
        options = None if self.model == "concepts" else OPTIONS
        embedder = Embedder.load(self.model, options=options)
        return (mean_of_frames(embedder) if self.mean_of_frames else embedder).spec.fingerprint


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what is not there yet, and saves `results/world_mini.json`."""
    asked = command().parse_args(arguments)
    if asked.untrained == UNTRAINED and not UNTRAINED.exists():
        embedder_of(untrained(), SAMPLING).save(UNTRAINED)
    found = {
        system.prefix: list(measured(system, asked))
        for system in systems(asked.model, str(asked.untrained))
    }
    metrics, details = gathered(found)
    if asked.limit:
        print("part of a run: not saved")
    else:
        save_result("world_mini", metrics, details=details)


def command() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.world_mini")
    parser.add_argument("model", nargs="?", default="mini")
    parser.add_argument("--untrained", type=Path, default=UNTRAINED, help="made if absent")
    parser.add_argument("--limit", type=at_least(8), help="test videos, of 1000")
    parser.add_argument("--to", type=Path, default=FOLDER, help="for evaluations")
    return parser


def systems(model: str, control: str) -> list[System]:
    """All columns of the table."""
    return [
        System(prefix="", model=model),
        System(prefix="frames_", model=model, mean_of_frames=True),
        System(prefix="untrained_", model=control),
        System(prefix="concepts_", model="concepts"),
    ]


def measured(system: System, asked: argparse.Namespace) -> Iterator[Evaluation]:
    """Its evaluations; those that are not saved are made now, by one command."""
    spec, limit = system.spec(), [] if asked.limit is None else ["--limit", str(asked.limit)]
    missing = [name for name in system.benchmarks if saved(spec, name, asked) is None]
    if missing:
        run_command([*system.words(missing), *limit, "--to", str(asked.to)])
    for benchmark in system.benchmarks:
        found = saved(spec, benchmark, asked)
        assert found is not None, f"{benchmark} was measured and is not there"
        yield found


def run_command(words: Sequence[str]) -> None:
    """In a process of its own, whose memory is free again afterwards."""
    print(f"kinoscope {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "kinoscope", *words], check=True)


def saved(spec: str, benchmark: str, asked: argparse.Namespace) -> Evaluation | None:
    """Of vectors with that spec, as far as the run goes."""
    variant = () if asked.limit is None else (f"limit-{asked.limit}",)
    for path in evaluations_in(asked.to):
        if path.name == f"{'.'.join((benchmark, *variant))}.json" and spec[:8] in path.parent.name:
            found = read_evaluation(path)
            if found.spec.fingerprint == spec:
                return found
    return None


def gathered(
    found: Mapping[str, Sequence[Evaluation]],
) -> tuple[dict[str, Metric], dict[str, object]]:
    """Figures and details by system: `seen_qa_accuracy` is of `world-seen-qa`."""
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {}
    worlds: set[tuple[bool, str, str]] = set()
    for prefix, evaluations in found.items():
        for one in evaluations:
            seen = one.benchmark.startswith(f"{_SAYS}seen-")
            before = f"{prefix}{'seen_' if seen else ''}"
            told = dict(one.protocol.details)
            worlds.add((seen, str(told.pop("world")), str(told.pop("fingerprint"))))
            metrics |= {before + name: metric for name, metric in one.metrics.items()}
            details |= {before + name: task for name, task in told.items()}
            show(before, one.metrics, {"benchmark": one.benchmark, "seconds": one.seconds["total"]})
    if len(worlds) != 2:  # held-out nouns, and those of the training
        raise UsageError(f"figures of other worlds: {sorted(worlds)}: measure all of them again")
    metrics["reversal_mean_of_frames"] = metrics["frames_reversal"]
    first = found[""][0]
    details["model"] = {"name": Path(first.model).name, "weights": first.spec.weights}
    details["protocol"] = {
        "worlds": sorted(name for _seen, name, _hash in worlds),
        "fingerprints": sorted(fingerprint for *_, fingerprint in worlds),
        "videos": first.protocol.gallery,
        "sampling": {prefix: some[0].spec.sampling for prefix, some in found.items()},
        "commands": sorted({one.command for some in found.values() for one in some}),
    }
    return metrics, details


if __name__ == "__main__":
    main()
