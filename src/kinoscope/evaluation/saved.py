"""What a model made of a benchmark, saved: one JSON with the whole protocol, one parquet by query.

`FOLDER/MODEL-SPEC/BENCHMARK.json` and, beside it, `BENCHMARK.parquet`; where queries have lists of
items also `BENCHMARK-run.parquet` (`query_lists.py`). What was limited, taken from
another split or scored otherwise says so in its name, so that it never replaces the whole run.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from kinoscope.durable import write_atomically
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.query_lists import write_lists
from kinoscope.evaluation.query_values import read_values, write_values
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.tasks.protocol import LeftOut
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.types import EmbedderSpec

SCHEMA = 1
FOLDER = Path("results") / "eval"
SIDECAR = ".parquet"

_MOST_BYTES = 2**26
_SAME_MEAN = 1e-9
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
_PLAIN = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All that decides what the figures of one result mean.

    Attributes:
        source: where data set and protocol are described.
        split: which part: `test`, or the names of the annotation files.
        split_hash: SHA-256 over the sorted ids and texts that were asked: equal for two results
            that asked the same of the same.
        files: SHA-256 of each annotation file, by role.
        gallery: how many different documents were embedded.
        queries: how many different queries have a value.
        sampling: policy, rate, windows and pixels of frames, as in the spec.
        frames: most frames of a clip; None reads all that were sampled.
        resolution: of a frame, in words.
        prompts: SHA-256 of all templates, as in the spec.
        template: name of the template, where the model has a choice.
        pooling: how token states become a vector.
        thinking: the steps before a vector.
        dimension: of a vector.
        rerank: a second pass over the best, `none`.
        dual_softmax: `no`, or what it is and that it uses the other test queries.
        answers: how answers in words are compared, `none` where none are asked for.
        ties: what a tie counts.
        limit: so many videos at most; None takes all.
        intervals: how the intervals come about.
        details: what the benchmark itself says: galleries, rules of several captions, chance.
    """

    source: str
    split: str
    split_hash: str
    files: Mapping[str, str]
    gallery: int
    queries: int
    sampling: str
    frames: int | None
    resolution: str
    prompts: str
    template: str
    pooling: str
    thinking: str
    dimension: int
    rerank: str = "none"
    dual_softmax: str = "no"
    answers: str = "none"
    ties: str = "count against the model; cosines nearer than 0.000001 tie"
    limit: int | None = None
    intervals: str = "95 %, percentile bootstrap, whole videos drawn again"
    details: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _HASH.fullmatch(self.split_hash):
            raise UsageError(f"split hash {self.split_hash[:80]!r}: give 64 hex digits")
        if self.gallery < 0 or self.queries < 0:
            raise UsageError(f"{self.queries} queries, {self.gallery} documents: give 0 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """One model on one benchmark.

    Attributes:
        benchmark, model: their names, as they were given.
        command, commit, machine: what made it, from which code, on what; `commit` is the version
            where the code is no checkout.
        spec: of the vectors; names weights, prompts, sampling, thinking.
        protocol: what was asked, and how.
        metrics: all figures, each with its 95 % interval and its count.
        left_out: what they are not about.
        seconds: by phase: `load`, `texts`, `videos`, `answers`, `vectors` (of videos that are made,
            with their texts), `scores`, which is all the rest, and `total`.
        vectors: `embedded` now, and `cached`, taken from an earlier run.
        values: of those figures that are means, one value a query; their names are in `metrics`.
        variant: what sets it apart from the usual run, such as `validation` or `dual-softmax`.
        rankings: lists behind the values, to be saved; none in what was read: see `read_lists`.
    """

    benchmark: str
    model: str
    command: str
    commit: str
    machine: Mapping[str, object]
    spec: EmbedderSpec
    protocol: Protocol
    metrics: Mapping[str, Metric]
    left_out: LeftOut
    seconds: Mapping[str, float]
    vectors: Mapping[str, int]
    values: Mapping[str, PerQuery]
    variant: tuple[str, ...] = ()
    rankings: Mapping[str, Rankings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.benchmark, *self.metrics):
            if not _NAME.fullmatch(name):
                raise UsageError(f"benchmark or metric {name[:80]!r}: give 1 to 200 characters")
        if not self.metrics:
            raise UsageError(f"{self.benchmark} has no metrics: measure at least one")
        for name, each in self.values.items():
            known = self.metrics.get(name)
            if known is None or known.n != len(each):
                raise UsageError(f"{name[:80]} has {len(each)} values and another metric")
            if abs(float(each.values_Q.mean()) - known.value) > _SAME_MEAN * max(1, known.value):
                raise UsageError(f"the mean of the values of {name[:80]} is not its metric")

    def __repr__(self) -> str:
        return f"Evaluation({self.benchmark}, {self.model}, {len(self.metrics)} metrics)"

    @property
    def stem(self) -> str:
        """`rtime`, or `rtime.limit-100.dual-softmax`: the name of its files without suffix."""
        return ".".join(_plain(part) for part in (self.benchmark, *self.variant))

    @property
    def folder(self) -> str:
        """`mini-0123abcd`: the model by its last name and by its spec."""
        return f"{_plain(Path(self.model).name)}-{self.spec.fingerprint[:8]}"


def save_evaluation(found: Evaluation, folder: Path = FOLDER) -> Path:
    """Writes its files, each whole or not at all, the JSON last; returns its path.

    Raises `UsageError` for what JSON cannot hold.
    """
    place = folder / found.folder
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{found.stem}.json"
    content = {
        "schema": SCHEMA,
        **{name: getattr(found, name) for name in _SIMPLE},
        "spec": asdict(found.spec),
        "protocol": asdict(found.protocol),
        "metrics": {name: asdict(metric) for name, metric in found.metrics.items()},
        "left_out": asdict(found.left_out),
        "per_query": write_values(path.with_suffix(SIDECAR), found.values),
    }
    try:
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{found.stem} is not plain finite JSON ({error})") from None
    write_lists(path, found.rankings)
    write_atomically(path, text + "\n")
    return path


def read_evaluation(path: Path) -> Evaluation:
    """Reads and checks both files; nothing in them is trusted.

    Raises `UsageError` for files that are absent, damaged, of another form, of a newer version, or
    that do not belong together.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} has over {_MOST_BYTES} bytes: no saved evaluation")
        content = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON ({error}): run the evaluation again") from None
    if isinstance(content, dict) and content.get("schema") != SCHEMA:
        raise UsageError(
            f"{path} has schema {str(content.get('schema'))[:40]}, this version reads {SCHEMA}:"
            " take the version that wrote it, or run the evaluation again"
        )
    try:
        return _evaluation(path, content)
    except UsageError as error:
        raise UsageError(f"{path} is no saved evaluation ({error}): run it again") from error


def evaluations_in(folder: Path = FOLDER) -> list[Path]:
    """All saved evaluations below a folder, in order of name; none if there is no such folder."""
    return sorted(folder.glob("*/*.json"))


def _evaluation(path: Path, content: object) -> Evaluation:
    known = _object(content, "the file")
    expected = {"schema", "spec", "protocol", "metrics", "left_out", "per_query", *_SIMPLE}
    if set(known) != expected:
        raise UsageError(f"fields {sorted(set(known) ^ expected)} are missing or foreign")
    metrics = {
        name: _built(Metric, _object(each, name), name)
        for name, each in _object(known["metrics"], "metrics").items()
    }
    simple = {name: _typed(known[name], kind, name) for name, kind in _SIMPLE.items()}
    return Evaluation(
        **simple,
        spec=EmbedderSpec.from_dict(_object(known["spec"], "spec")),
        protocol=_built(Protocol, _object(known["protocol"], "protocol"), "protocol"),
        metrics=metrics,
        left_out=_built(LeftOut, _object(known["left_out"], "left_out"), "left_out"),
        values=read_values(path.with_suffix(SIDECAR), _object(known["per_query"], "per_query")),
    )


def _built(kind: Any, values: Mapping[str, Any], what: str) -> Any:
    """A dataclass from an object with exactly its fields, each of its type."""
    types = {each.name: each.type for each in fields(kind)}
    if set(values) != set(types):
        raise UsageError(f"{what[:80]} has the fields {sorted(values)[:20]}, not {sorted(types)}")
    return kind(**{name: _typed(values[name], types[name], name) for name in types})


def _typed(value: object, kind: Any, what: str) -> Any:
    """The value, if JSON of it has that type; sequences come as tuples."""
    origin, inside = get_origin(kind), get_args(kind)
    if NoneType in inside:
        return None if value is None else _typed(value, inside[0], what)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _typed(each, inside[1], what) for key, each in _object(value, what).items()}
    if origin is not None and isinstance(value, list):
        return tuple(_typed(each, inside[0], what) for each in value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, what)
    if kind is object or type(value) is kind:
        return value
    raise UsageError(f"{what[:80]} is {str(value)[:60]!r}, of another type than it has")


def _finite(value: float, what: str) -> float:
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise UsageError(f"{what[:80]} is no finite number")
    return found


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is of type {type(value).__name__}, no object")
    return value


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no finite number")


def _plain(name: str) -> str:
    """Safe as a part of a file's name: `mteb:ABC` -> `mteb-ABC`."""
    return _PLAIN.sub("-", name).strip(".-")[:100] or "unnamed"


_SIMPLE: Mapping[str, Any] = {
    "benchmark": str,
    "model": str,
    "command": str,
    "commit": str,
    "machine": Mapping[str, object],
    "seconds": Mapping[str, float],
    "vectors": Mapping[str, int],
    "variant": tuple[str, ...],
}
