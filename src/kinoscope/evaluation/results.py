"""Saved results: every published figure is a `results/NAME.json` that one command rewrites."""

import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from kinoscope.durable import write_atomically
from kinoscope.errors import UsageError

FOLDER = Path("results")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured number with the ends of its 95 % interval and the count of items behind it.

    `low` and `high` are the value itself where no interval was measured.
    Raises `UsageError` unless all are finite, `low <= value <= high` and `n >= 1`.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):  # plain floats, also of numpy's scalars
            given = getattr(self, name)
            object.__setattr__(self, name, float(self.value if given is None else given))
        low, value, high = self.interval
        if not (math.isfinite(low) and math.isfinite(high) and low <= value <= high):
            raise UsageError(f"metric {value} in [{low}, {high}]: need finite low <= value <= high")
        if type(self.n) is not int or self.n < 1:
            raise UsageError(f"metric with n = {self.n!r}: count the items it was measured on")

    @property
    def interval(self) -> tuple[float, float, float]:
        """(low, value, high)."""
        assert self.low is not None and self.high is not None
        return self.low, self.value, self.high


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one saved file holds: the command that writes it, the code, the machine, the numbers."""

    command: str
    commit: str
    machine: Mapping[str, object]
    metrics: Mapping[str, Metric]
    details: Mapping[str, object] = field(default_factory=dict)


def save_result(
    name: str,
    metrics: Mapping[str, Metric],
    *,
    details: Mapping[str, object] | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Writes `folder/NAME.json` whole or not at all, for the recipe `recipes/NAME.py`.

    Raises `UsageError` for a name that is not a recipe's, no metrics, or details JSON cannot hold.
    """
    for each in (name, *metrics):
        if not _NAME.fullmatch(each):
            raise UsageError(f"result or metric name {each!r}: use lower case, digits and _")
    if not metrics:
        raise UsageError(f"result {name} has no metrics: measure at least one")
    content = {
        "command": f"python -m recipes.{name}",
        "commit": current_commit(),
        "machine": describe_machine(),
        "metrics": {key: asdict(metric) for key, metric in metrics.items()},
    }
    if details:
        content["details"] = dict(details)
    try:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"details of result {name} are not plain finite JSON: {error}") from None
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text + "\n")
    return path


def load_result(name: str, *, folder: Path = FOLDER) -> Result:
    """Reads what `save_result` wrote; `UsageError` if the file is absent or of another form."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"result name {name!r}: use lower case, digits and _")
    path = folder / f"{name}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        metrics = {key: Metric(**values) for key, values in content.pop("metrics").items()}
        return Result(metrics=metrics, **content)
    except FileNotFoundError:
        raise UsageError(f"no result {path}: run python -m recipes.{name}") from None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise UsageError(f"{path} is not a saved result: run python -m recipes.{name}") from error


def current_commit(folder: Path | None = None) -> str:
    """Short hash of the checked-out commit, `+changes` if code differs from it; else `unknown`.

    Other results do not count as changes: recipes run one after another on one commit. `folder` is
    part of the checkout, by default the current one.
    """
    head = _git("rev-parse", "--short", "HEAD", folder=folder)
    if not head:
        return "unknown"
    others = (":/", f":(top,exclude){FOLDER}")
    changes = _git("status", "--porcelain", "--", *others, folder=folder)
    return f"{head}+changes" if changes else head


def code_version(file: Path = Path(__file__)) -> str:
    """The commit of the checkout that our code is part of, else the version that is installed.

    A command may run in any folder, also in a checkout of something else.
    """
    if _git("ls-files", "--", file.name, folder=file.parent):
        return current_commit(file.parent)
    return f"kinoscope {version('kinoscope')}"


def describe_machine() -> dict[str, object]:
    """The machine by its parts: cpu, cores, memory_gib, python, platform; never by a name."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.M)
    return found[1].strip() if found else platform.processor() or "unknown"


def _git(*arguments: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, cwd=folder
        )
    except FileNotFoundError:  # no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
