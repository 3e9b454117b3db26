"""Figures of what things cost, here and with other tools, as their page shows them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import Result, load_result
from recipes.training_tables import table

NAME = "bench_peers"
RESULTS = Path(__file__).parents[1] / "results"

DECODERS = {
    "kinoscope": "**Kinoscope**",
    "opencv": "OpenCV, `grab` and `retrieve`",
    "decord": "decord (eva-decord), `get_batch`",
    "ffmpeg": "ffmpeg by a pipe, as framesieve, and as who writes frames for rclip",
    "pyav": "a plain loop over PyAV, our naive twin",
}
PIPELINES = {
    "kinoscope": "**Kinoscope**, `kinoscope index`",
    "framesieve": "framesieve",
    "rclip": "ffmpeg, then rclip",
    "clip_retrieval": "ffmpeg, then clip-retrieval",
}
SEARCHERS = {
    "kinoscope": "**Kinoscope**, search arrays",
    "turbovec": "turbovec",
    "faiss_flat": "faiss, flat",
    "faiss_hnsw": "faiss, HNSW",
    "faiss_ivf": "faiss, IVF",
    "lancedb_flat": "LanceDB, without an index",
    "lancedb_ivf": "LanceDB, IVF_RQ",
    "qdrant_local": "Qdrant's client, local mode",
    "numpy": "NumPy, one product: the naive twin",
}
RATIOS = {
    "decode": ("decode", "processor time of a frame", DECODERS),
    "index": ("index", "processor time of an hour of video", PIPELINES),
    "query": ("query", "time of a query, p50", SEARCHERS),
}
STAGES = {
    "scan": "scan: find files",
    "identify": "identify: read and hash them",
    "decode": "decode, and wait for it",
    "vision": "vision: the encoder",
    "write": "write: clips and files",
    "search_arrays": "search arrays",
    "other": "other: processes that start",
}


def costs_table() -> str:
    """Our own costs: a frame by stage, then an hour of video and a query."""
    result = load_result(NAME, folder=RESULTS)
    rows = [
        [told, *(f"{_of(result, f'bench_{kind}_ms_{stage}'):.2f}" for kind in ("wall", "cpu"))]
        for stage, told in STAGES.items()
    ]
    sums = [f"{_of(result, f'bench_{kind}_ms_per_frame'):.2f}" for kind in ("wall", "cpu")]
    rows.append(["all", *sums])
    bench = cast(Mapping[str, Any], result.details["bench"])
    machine = "{name}, {usd_per_hour} USD an hour".format(**bench["machine"])
    figures: list[tuple[str, float, int]] = [
        ("processor seconds an hour of video", _of(result, "bench_cpu_s_per_hour"), 1),
        ("MB of index an hour of video", _of(result, "bench_mb_per_hour"), 2),
        ("ms a query, p50", _of(result, "bench_query_p50_ms"), 1),
        ("ms a query, p95", _of(result, "bench_query_p95_ms"), 1),
        (f"USD an hour of video ({machine})", _of(result, "bench_usd_per_hour"), 5),
        ("the same, idle cores paid for", _of(result, "bench_usd_per_hour_by_clock"), 5),
    ]
    seen = f"{bench['videos']} videos, {bench['video_s'] / 60:.1f} min; {bench['sampling']}."
    return "\n".join(
        [
            table(("ms a frame", "by the clock", "by processors"), rows),
            table(("what", "value"), [[what, f"{value:,.{n}f}"] for what, value, n in figures]),
            f"{seen} {_source(result)}",
            "",
        ]
    )


def ratios_table() -> str:
    """Ours by the best other's, and why a ratio is above one."""
    result = load_result(NAME, folder=RESULTS)
    rows = []
    for name, (what, measured, names) in RATIOS.items():
        if f"{name}_ratio" in result.metrics:
            best = str(result.details[f"{name}_best"]).replace("-", "_")
            rows.append([what, measured, f"{_of(result, f'{name}_ratio'):.2f}", names[best]])
    reasons = cast(Mapping[str, str], result.details["reasons"])
    lines = [f"* {name.removesuffix('_ratio')}: {reason}" for name, reason in reasons.items()]
    heads = ("what", "compared", "ours / best other's", "best other")
    return "\n".join([table(heads, rows), *lines, *([""] if lines else []), _source(result), ""])


def decode_table() -> str:
    """A row a decoder."""
    columns = {"decode_cpu_ms": ".2f", "decode_wall_ms": ".2f", "decode_same": ".1%"}
    heads = ("decoder", "processor ms a frame", "by the clock", "frames in their place")
    return _table(heads, columns, DECODERS, "decode")


def index_table() -> str:
    """A row a pipeline, and what of it is the tool's own."""
    columns = {
        "index_cpu_s_per_hour": ",.0f",
        "index_wall_s_per_hour": ",.0f",
        "index_mb_per_hour": ",.2f",
        "index_frames": ",.0f",
    }
    heads = ("pipeline", "processor s an hour of video", "s by the clock", "MB", "frames seen")
    told = cast(Mapping[str, Any], load_result(NAME, folder=RESULTS).details["index"])
    lines = [f"* {own}." for own in told["pipelines"].values()]
    return "\n".join([_table(heads, columns, PIPELINES, "index"), *lines, ""])


def query_table() -> str:
    """A row a searcher, with the setting it was turned up to."""
    columns = {
        "query_p50_ms": ".3f",
        "query_p95_ms": ".3f",
        "query_recall": ".4f",
        "query_build_cpu_s": ",.1f",
    }
    heads = (
        "searcher",
        "ms, p50",
        "p95",
        "recall@10",
        "processor s to build",
        "setting",
        "vectors",
    )
    return _table(heads, columns, SEARCHERS, "query")


def _table(
    heads: Sequence[str], columns: Mapping[str, str], names: Mapping[str, str], part: str
) -> str:
    result = load_result(NAME, folder=RESULTS)
    absent = cast(Mapping[str, str], result.details["absent"])
    beside = cast(Mapping[str, Any], result.details["query"]) if part == "query" else {}
    rows = []
    for name, told in names.items():
        cells = [f"{column}_{name}" for column in columns]
        if cells[0] not in result.metrics:
            reason = absent.get(name, absent.get(name.replace("_", "-"), "not measured"))
            rows.append([told, f"absent: {reason}", *[""] * (len(heads) - 2)])
            continue
        values = [
            f"{_of(result, cell):{columns[column]}}"
            for cell, column in zip(cells, columns, strict=True)
        ]
        if beside:
            values += [beside[name]["dial"], f"{beside[name]['rows']:,}"]
        rows.append([told, *values])
    return table(heads, rows)


def _of(result: Result, name: str) -> float:
    return result.metrics[name].value


def _source(result: Result) -> str:
    return f"By `{result.command}`, commit {result.commit}."
