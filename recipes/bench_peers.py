"""What decoding, indexing and asking cost, here and with other tools, on the same inputs.

    python -m recipes.bench_peers [--small]

Decoders are asked for the same frames, pipelines of other tools index the same videos with the same
encoder, searchers hold the same vectors. All take turns, so that a busy machine is busy for each.
Ratios are ours by the best other's: of processor time for frames and videos, since all that decodes
is given one thread and all pipelines all cores, and of time by the clock for a query. The packages
are fetched once (`recipes/peer_packages.py`); a tool that cannot be had, or fails, is absent with
its reason. A small run is printed and not saved.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.costs import quantile
from kinoscope.durable import tree_bytes
from kinoscope.errors import SetupError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.samples import fetch
from recipes.concepts_samples import CLIPS_FOLDER
from recipes.peer_decoders import DECODERS, same_frames, wanted
from recipes.peer_packages import PACKAGES, install, step
from recipes.peer_pipelines import PIPELINES, TOLD
from recipes.peer_searchers import LEAST_RECALL

NAME = "bench_peers"
OURS, TWIN = "kinoscope", "pyav"
TWINS = (TWIN, "numpy")
"""Naive twins of ours: shown, and no peers."""

LEAST_SAME = 0.99
"""Part of the frames that a decoder must give in their place to be compared."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("opencv", "decord", "ffmpeg")},
    **{name: (name, "ffmpeg") for name in PIPELINES},
}

REASONS: Mapping[str, str] = {
    "query_ratio": "a graph or lists look at few of the vectors, and hold all of them in memory;"
    " ours looks at a code of each row, which takes an eighth of that and little to build, and"
    " ranks 400 candidates anew among the rows that a mask admits, so that filters cost no recall."
    " Of a whole query the encoding of its text takes longer than either",
}
"""Why a ratio is above one, where that is understood."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured.

    Attributes:
        clips: sample clips; all with None.
        film_s: of the ten-minute film, how much is decoded; indexed is all of it, or none with 0.
        decode_rounds, index_rounds: turns of all.
        vectors, queries: for searchers.
    """

    clips: int | None = None
    film_s: float = 180.0
    decode_rounds: int = 3
    index_rounds: int = 2
    vectors: int = 102_600
    """Of these 100 035 are moments."""
    queries: int = 200


FULL = Size()
SMALL = Size(clips=3, film_s=0.0, decode_rounds=2, index_rounds=1, vectors=4_000, queries=30)


@dataclass
class Found:
    """Figures so far, what cannot be had with its reason, and what is told beside."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, value: float, n: int = 1) -> None:
        """A figure; what a tool is called becomes a part of its name."""
        self.metrics[name.replace("-", "_")] = Metric(value=float(value), n=n)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all and saves `results/bench_peers.json`."""
    parser = argparse.ArgumentParser(prog=f"python -m recipes.{NAME}")
    parser.add_argument("--small", action="store_true", help="a few minutes; not saved")
    size = SMALL if parser.parse_args(arguments).small else FULL
    found = Found(absent=install())
    samples = fetch(CLIPS_FOLDER, report=print)
    paths = [samples.folder / clip.file for clip in samples.clips]
    films = [path for path in paths if path != samples.film][: size.clips]
    if size.film_s:
        films.append(samples.film)
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as own:
        decoding(found, films, size, Path(own))
        indexing(found, films, size, Path(own))
    asking(found, size)
    told(found, size)


def told(found: Found, size: Size) -> None:
    """Prints all figures; saves those of a full run."""
    for name, metric in found.metrics.items():
        print(f"{name:>44} {metric.value:.4f}")
    for name, reason in found.absent.items():
        print(f"{name:>44} absent: {reason}")
    if size != FULL:
        print("a small run: not saved")
        return
    values = {name: metric.value for name, metric in found.metrics.items()}
    above = {name: reason for name, reason in REASONS.items() if values.get(name, 0.0) > 1}
    details = {
        **found.details,
        "absent": found.absent,
        "packages": [each for several in PACKAGES.values() for each in several],
        "reasons": above,
    }
    save_result(NAME, found.metrics, details=details)


# --- the same frames


def decoding(found: Found, films: Sequence[Path], size: Size, own: Path) -> None:
    """Processor milliseconds a frame by each decoder, one thread, in turns."""
    grids = [wanted(film, size.film_s or float("inf")) for film in films]
    frames = sum(len(grid.times_s) for grid in grids)
    request = {
        "videos": [{"path": str(g.path.absolute()), "times_s": g.times_s} for g in grids],
        "threads": 1,
    }
    taken: dict[str, list[Mapping[str, Any]]] = {}
    for _ in range(size.decode_rounds):
        for name in DECODERS:
            asked = own / f"{name}.json"
            asked.write_text(json.dumps(request | {"thumbs": str(own / f"{name}.npz")}))
            ran = attempt(found, name, "recipes.peer_decoders", name, str(asked))
            if ran is not None:
                taken.setdefault(name, []).append(ran)
    true = list(np.load(own / f"{TWIN}.npz").values())
    costs = {}
    for name, rounds in taken.items():
        same = same_frames(list(np.load(own / f"{name}.npz").values()), true)
        found.put(f"decode_cpu_ms_{name}", 1000 * median(rounds, "cpu_s") / frames, frames)
        found.put(f"decode_wall_ms_{name}", 1000 * median(rounds, "wall_s") / frames, frames)
        found.put(f"decode_same_{name}", same, frames)
        if same >= LEAST_SAME:
            costs[name] = [each["cpu_s"] for each in rounds]
    compare(found, "decode", costs)
    found.put("decode_twin_ratio", ratio(costs[OURS], costs[TWIN]), len(costs[OURS]))
    found.details["decode"] = f"{len(films)} videos, {frames} frames of 260 x 260, one thread"


# --- the same videos, the same encoder


def indexing(found: Found, films: Sequence[Path], size: Size, own: Path) -> None:
    """Processor seconds and megabytes an hour of video by each pipeline, in turns; our costs."""
    videos = own / "videos"
    videos.mkdir()
    for film in films:
        (videos / film.name).symlink_to(film.absolute())
    costs = costs_of_ours(found, videos)
    hours = costs["video_s"] / 3600
    taken: dict[str, list[Mapping[str, Any]]] = {}
    for turn in range(size.index_rounds):
        for name in (OURS, *PIPELINES):
            out = own / f"{name}-{turn}"
            ran = run_pipeline(found, name, videos, out)
            if ran is not None:
                taken.setdefault(name, []).append(ran)
    for name, rounds in taken.items():
        n = len(rounds)
        found.put(f"index_cpu_s_per_hour_{name}", median(rounds, "cpu_s") / hours, n)
        found.put(f"index_wall_s_per_hour_{name}", median(rounds, "wall_s") / hours, n)
        found.put(f"index_mb_per_hour_{name}", median(rounds, "bytes") / 1e6 / hours, n)
        found.put(f"index_frames_{name}", median(rounds, "frames"), n)
    found.put(f"index_mb_per_hour_{OURS}", costs["mb_per_hour"])  # search arrays included
    compare(found, "index", {name: [r["cpu_s"] for r in rounds] for name, rounds in taken.items()})
    found.details["index"] = {
        "videos": f"{len(films)} videos, {hours:.3f} h; from the start of a command to its end",
        "pipelines": {name: TOLD[name] for name in taken if name in TOLD},
    }


def costs_of_ours(found: Found, videos: Path) -> Mapping[str, Any]:
    """What `kinoscope bench` says of the videos."""
    costs = step("kinoscope", "bench", str(videos), "--json").told
    for name in ("cpu_s_per_hour", "mb_per_hour", "usd_per_hour", "usd_per_hour_by_clock"):
        found.put(f"bench_{name}", costs[name])
    for name in ("wall_ms_per_frame", "cpu_ms_per_frame", "query_p50_ms", "query_p95_ms"):
        found.put(f"bench_{name}", costs[name], costs["frames"])
    for stage, spent in costs["stages"].items():
        for kind, value in spent.items():
            found.put(f"bench_{kind}_{stage.replace(' ', '_')}", value, costs["frames"])
    found.details["bench"] = {
        name: costs[name] for name in ("machine", "model", "sampling", "videos", "video_s")
    }
    return costs


def run_pipeline(found: Found, name: str, videos: Path, out: Path) -> dict[str, Any] | None:
    """One pipeline from its start to its end."""
    if name == OURS:
        words = ["index", str(videos), "--index", str(out), "--json", "--no-optimize"]
        ran = attempt(found, name, "kinoscope", *words)
    else:
        out.mkdir()
        ran = attempt(found, name, "recipes.peer_pipelines", name, str(videos), str(out))
    return None if ran is None else {**ran, "bytes": tree_bytes(out)}


# --- the same vectors


def asking(found: Found, size: Size) -> None:
    """Milliseconds of a query by each searcher, and what it finds of the true ten."""
    ways = step("recipes.peer_searchers", str(size.vectors), str(size.queries)).told
    costs = {}
    for name, way in ways.items():
        if "absent" in way:
            found.absent[name] = way["absent"]
            continue
        n = len(way["ms"])
        found.put(f"query_p50_ms_{name}", quantile(way["ms"], 0.5), n)
        found.put(f"query_p95_ms_{name}", quantile(way["ms"], 0.95), n)
        found.put(f"query_recall_{name}", way["recall"], n)
        found.put(f"query_build_cpu_s_{name}", way["build_cpu_s"])
        if way["rows"] == ways[OURS]["rows"] and way["recall"] >= least_recall(ways):
            costs[name] = [quantile(way["ms"], 0.5)]
    compare(found, "query", costs)
    found.details["query"] = {
        name: {key: way[key] for key in ("dial", "rows")}
        for name, way in ways.items()
        if "absent" not in way
    }


def least_recall(ways: Mapping[str, Mapping[str, Any]]) -> float:
    """What a peer must find of the true ten to be compared: what ours does, or 0.99."""
    return min(LEAST_RECALL, float(ways[OURS]["recall"]))


# --- what all three share


def attempt(found: Found, name: str, module: str, *words: str) -> dict[str, Any] | None:
    """What a step told and took; None, with the reason noted, for a peer that cannot run."""
    if name in found.absent:
        return None
    lacking = [need for need in NEEDS.get(name, ()) if need in found.absent]
    if lacking:
        found.absent[name] = found.absent[lacking[0]]
        return None
    try:
        done = step(module, *words)
    except SetupError as error:
        if name in (OURS, TWIN):
            raise
        found.absent[name] = str(error)
        return None
    print(f"{module} {name}: {done.cpu_s:.1f} processor s, {done.wall_s:.1f} s", flush=True)
    return {"cpu_s": done.cpu_s, "wall_s": done.wall_s, **unless_timed(done.told)}


def unless_timed(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a step says of itself, but for a run of indexing, whose start counts too."""
    return {k: v for k, v in told.items() if "stages" not in told or k not in ("wall_s", "cpu_s")}


def compare(found: Found, what: str, costs: Mapping[str, Sequence[float]]) -> None:
    """The ratio of ours to the best peer's, by rounds; there is none without a peer."""
    best = best_peer(costs)
    if best is None:
        return
    found.put(f"{what}_ratio", ratio(costs[OURS], costs[best]), len(costs[best]))
    found.details[f"{what}_best"] = best


def best_peer(costs: Mapping[str, Sequence[float]]) -> str | None:
    """The one of the least median; naive twins are none."""
    peers = {n: statistics.median(c) for n, c in costs.items() if n != OURS and n not in TWINS}
    return min(peers, key=lambda name: peers[name]) if peers else None


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def median(rounds: Sequence[Mapping[str, Any]], name: str) -> float:
    """Of one figure over all rounds."""
    return float(statistics.median(each[name] for each in rounds))


if __name__ == "__main__":
    main()
