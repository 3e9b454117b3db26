"""Figures of large indexes, as their page shows them."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import get_args

from kinoscope.evaluation.results import load_result
from recipes.sharded_topk import CASES, PAUSE_MS, SHARDS, Policy

RESULTS = Path(__file__).parents[1] / "results"
_MEASURED = {
    "build_cpu_s": ("processor seconds to build", 0),
    "build_rss_mb": ("most memory of the build, MiB", 0),
    "p50_ms": ("a query, p50, ms", 1),
    "p95_ms": ("p95, ms", 1),
    "cpu_ms": ("processor time of a query, ms", 1),
    "recall_at_10": ("recall@10 against all vectors", 4),
    "rss_mb": ("most memory of the searching process, MiB", 0),
}
_POLICIES: Mapping[Policy, str] = {
    "one": "one replica",
    "either": "either of two",
    "idler": "that of two with less to do",
    "hedged": "that, and if it is late the other, if idle",
}
_PLAN = {
    "hours_of_video": ("hours of video", "{:,.0f}"),
    "rows": ("vectors", "{:,.0f}"),
    "shards": ("shards", "{:,.0f}"),
    "codes_gib_a_shard": ("codes of a shard in memory, GiB", "{:.2f}"),
    "disk_gib_a_shard": ("disk of a shard, GiB", "{:.1f}"),
    "core_hours_an_hour_of_video": ("core hours to index an hour of video", "{:.3f}"),
    "index_dollars_an_hour_of_video": ("dollars to index an hour of video", "{:.4f}"),
    "serve_dollars_an_hour_and_month": ("dollars to serve an hour of video, a month", "{:.4f}"),
    "serve_dollars_a_month": ("dollars to serve all of it, a month", "{:,.0f}"),
    "asked_of_a_shard": ("hits asked of each shard for the best 10", "{:.0f}"),
    "query_kib_out": ("a query's vector to all shards, KiB", "{:.0f}"),
    "query_kib_back": ("their answers, KiB", "{:.0f}"),
}


def million_table() -> str:
    """Both ways of search over a million clips, side by side."""
    result = load_result("scale_1m", folder=RESULTS)
    lines = ["| | codes in memory | codes on disk |", "|---|---|---|"]
    for name, (told, digits) in _MEASURED.items():
        cells = [f"{result.metrics[name + way].value:,.{digits}f}" for way in ("", "_on_disk")]
        lines.append(f"| {told} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _source(result.command, result.commit), ""])


def tail_table() -> str:
    """The slowest of many shards, by how a replica is chosen."""
    result = load_result("sharded_topk", folder=RESULTS)
    heads = [f"{shards} shard{'s' * (shards > 1)}" for shards in SHARDS]
    lines = [f"| ms, p50 / p99 | | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for case, policy in product(CASES, get_args(Policy)):
        load, paused = CASES[case]
        told = f"{100 * load:.0f} % busy" + (
            f", {100 * paused:.1f} % of requests stopped for {PAUSE_MS:.0f} ms" if paused else ""
        )
        row = []
        for shards in SHARDS:
            figures = (f"p{part}_ms_{policy}_{shards}_{case}" for part in (50, 99))
            row.append(" / ".join(f"{result.metrics[name].value:.0f}" for name in figures))
        lines.append(f"| {told} | {_POLICIES[policy]} | {' | '.join(row)} |")
    return "\n".join([*lines, "", _source(result.command, result.commit), ""])


def plan_table() -> str:
    """What a billion clips need."""
    result = load_result("sharded_topk", folder=RESULTS)
    found = result.details["plan"]
    assert isinstance(found, dict)
    lines = ["| a billion clips | |", "|---|---|"]
    lines += [f"| {told} | {form.format(found[name])} |" for name, (told, form) in _PLAN.items()]
    return "\n".join([*lines, "", _source(result.command, result.commit), ""])


def _source(command: str, commit: str) -> str:
    return f"`{command}`, commit {commit}."
