"""Saved evaluations and analyses found below folders; what cannot be read is named."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.saved import Evaluation, read_evaluation

ANALYSIS = "analysis.json"
_MOST_BYTES = 2**22


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One saved evaluation, where it lies, and what tables call it."""

    path: Path
    found: Evaluation
    label: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysed:
    """What `kinoscope analyze` wrote: figures of each model, and the folder of its pictures."""

    folder: Path
    models: Mapping[str, Mapping[str, Metric]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """All rows by benchmark, all analyses, and which files could not be read, with the reason."""

    benchmarks: Mapping[str, Sequence[Row]]
    analyses: Sequence[Analysed]
    unread: Mapping[Path, str]


def gather(folders: Sequence[Path]) -> Gathered:
    """Every JSON below the folders, each once; a file may be named too.

    Raises `UsageError` for a folder that is not there, or if nothing can be read.
    """
    unread: dict[Path, str] = {}
    evaluations: list[tuple[Path, Evaluation]] = []
    analyses: list[Analysed] = []
    for path in _files(folders):
        try:
            if path.name == ANALYSIS:
                analyses.append(_analysed(path))
            else:
                evaluations.append((path, read_evaluation(path)))
        except UsageError as error:
            unread[path] = str(error)
    if not evaluations and not analyses:
        first = next(iter(unread.values()), "no JSON is there")
        raise UsageError(f"no saved evaluation in {_names(folders)}: {first}")
    return Gathered(benchmarks=_by_benchmark(evaluations), analyses=analyses, unread=unread)


def _files(folders: Sequence[Path]) -> list[Path]:
    absent = next((folder for folder in folders if not folder.exists()), None)
    if absent is not None:
        raise UsageError(f"{absent} is not there: name folders of saved evaluations")
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.json")):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders) or "no folder"


def _by_benchmark(evaluations: Sequence[tuple[Path, Evaluation]]) -> dict[str, list[Row]]:
    """Rows by name of model; names that come twice on a benchmark say what sets them apart."""
    apart: dict[str, list[tuple[Path, Evaluation]]] = {}
    for path, found in evaluations:
        apart.setdefault(found.benchmark, []).append((path, found))
    rows: dict[str, list[Row]] = {}
    for benchmark, pairs in sorted(apart.items()):
        labels = _labels([found for _, found in pairs])
        named = [
            Row(path=path, found=found, label=label)
            for (path, found), label in zip(pairs, labels, strict=True)
        ]
        rows[benchmark] = sorted(named, key=lambda row: row.label)
    return rows


def _labels(found: Sequence[Evaluation]) -> list[str]:
    """`mini`; two of them `mini (0123abcd)`; the same again `mini (0123abcd) 2`."""
    short = [" ".join((Path(each.model).name or each.model, *each.variant)) for each in found]
    count = Counter(short)
    longer = [
        f"{name} ({each.spec.fingerprint[:8]})" if count[name] > 1 else name
        for name, each in zip(short, found, strict=True)
    ]
    seen: Counter[str] = Counter()
    labels = []
    for name in longer:
        seen[name] += 1
        labels.append(f"{name} {seen[name]}" if seen[name] > 1 else name)
    return labels


def _analysed(path: Path) -> Analysed:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has over {_MOST_BYTES} bytes")
        content = json.loads(path.read_bytes())
        models = {
            name: {figure: Metric(**values) for figure, values in metrics.items()}
            for name, metrics in content.items()
        }
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check it") from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UsageError(f"{path} is no analysis ({error}): run kinoscope analyze again") from error
    if not models or not all(models.values()):
        raise UsageError(f"{path} has a model without figures: run kinoscope analyze again")
    return Analysed(folder=path.parent, models=models)
