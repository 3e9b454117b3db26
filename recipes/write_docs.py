"""Writes the generated pages: docs/cli.md and api.md, and the figures from results."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from kinoscope.evaluation.results import load_result
from recipes import (
    api_docs,
    bench_tables,
    evaluation_tables,
    fault_tables,
    large_tables,
    nuance_tables,
    scale_tables,
    serve_tables,
    thinking_tables,
    training_tables,
    world_tables,
)

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
COMMANDS = (
    *("index", "index optimize", "index export", "search", "moments", "ask", "cut"),
    *("serve", "mcp", "info", "remove", "embed"),
    *("setup", "samples", "models", "export", "interpolate", "doctor", "bench"),
    *("train", "triplets", "triplets make", "analyze", "eval", "report", "export-run"),
    *("world", "world fetch", "world make", "world show"),
)


def main() -> None:
    """Rewrites every generated text in place."""
    (ROOT / "docs" / "cli.md").write_text(cli_page())
    (ROOT / "docs" / "api.md").write_text(api_docs.api_page())
    for name, write in PAGES.items():
        page = ROOT / name
        page.write_text(write(page.read_text()))


def cli_page() -> str:
    """The reference of all commands: their own help texts."""
    parts = ["# Command line\n\nWritten by `make docs` from the commands' own help.\n"]
    for command in ("", *COMMANDS):
        title = f"kinoscope {command}".strip()
        parts.append(f"## {title}\n\n```\n{_help(command)}\n```\n")
    parts.append(EXIT_CODES)
    return "\n".join(parts)


EXIT_CODES = """## Exit codes

| code | meaning |
|---|---|
| 0 | done, also when nothing matches |
| 1 | a fault of ours: please report it |
| 2 | a wrong argument |
| 3 | a video that cannot be read |
| 4 | an index that is missing, foreign, newer, locked or damaged, or a full disk |
| 5 | vectors of two different embedders |
| 6 | model weights or sample clips are absent or not the pinned ones |
| 7 | done and saved, but some files are in quarantine, or a benchmark lacks some |
| 130 | interrupted by Ctrl-C; what was finished is committed |
"""


def _help(command: str) -> str:
    words = [sys.executable, "-m", "kinoscope", *command.split(), "--help"]
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    return "\n".join(lines).replace("python -m kinoscope", "kinoscope")


def with_block(page: str, name: str, text: str) -> str:
    """A page with what stands between `<!-- name: begin` and `<!-- name: end -->` exchanged."""
    block = re.compile(rf"(<!-- {name}: begin[^>]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert block.search(page), f"no block {name}"
    return block.sub(lambda found: found[1] + text + found[2], page)


def with_results(readme: str) -> str:
    """The README with its table of figures rewritten from results/*.json."""
    return with_block(readme, "results", results_table())


def with_backbones(page: str) -> str:
    """The page on multimodal LLMs with its tables rewritten from saved results."""
    page = with_block(page, "checks", checks_table())
    page = with_block(page, "interop", interop_table())
    return with_block(page, "full size", full_size_table())


def checks_table() -> str:
    """One row a family: each check's verdict, the worst of their cosines, the time of all."""
    result = load_result("backbones", folder=RESULTS)
    rows = cast(list[dict[str, Any]], result.details["adapters"])
    least = float(str(result.details["least"]))
    names = [check["name"] for check in rows[0]["checks"]]
    lines = [f"| adapter | {' | '.join(names)} | 1 - least cosine | wall s |"]
    lines.append("|---" * (len(names) + 3) + "|")
    for row in rows:
        cosines = [check["cosine"] for check in row["checks"]]
        cells = ["ok" if cosine >= least else "**failed**" for cosine in cosines]
        wall_s = sum(check["wall_s"] for check in row["checks"])
        apart = max(0.0, 1 - min(cosines))
        lines.append(f"| {row['family']} | {' | '.join(cells)} | {apart:.0e} | {wall_s:.1f} |")
    counts = " ".join(f"{result.metrics[name].value:.0f} {name}" for name in ("checks", "failed"))
    worst = f"1 - least cosine {max(0.0, 1 - result.metrics['worst_cosine'].value):.0e}"
    return "\n".join([*lines, "", f"{counts}, {worst}: `{result.command}`.", ""])


def full_size_table() -> str:
    """One row a published checkpoint."""
    rows = cast(list[dict[str, Any]], load_result("backbones", folder=RESULTS).details["full_size"])
    columns = {
        "checkpoint": "name",
        "billions": "billions",
        "vector": "dimension",
        "tokens": "context",
        "float32 GB": "float32_gb",
        "bfloat16 GB": "bfloat16_gb",
        "8 bit GB": "8bit_gb",
        "4 bit GB": "4bit_gb",
    }
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(str(row[key]) for key in columns.values())} |" for row in rows]
    notes = [f"* {row['name']}: {row['note']}." for row in rows if row["note"]]
    return "\n".join([*lines, "", *notes, *([""] if notes else [])])


def interop_table() -> str:
    """One row a figure of `results/interop.json`."""
    result = load_result("interop", folder=RESULTS)
    lines = ["| what | value |", "|---|---|"]
    lines += [
        f"| {label} | {_number(result.metrics[name].value, unit)} |"
        for label, name, unit in INTEROP
        if name in result.metrics
    ]
    return "\n".join([*lines, "", f"By `{result.command}`.", ""])


def results_table() -> str:
    """One row a figure that the README cites."""
    rows = ["| what | value | 95 % interval | command |", "|---|---|---|---|"]
    for label, name, metric, unit in FIGURES:
        result = load_result(name, folder=RESULTS)
        low, value, high = result.metrics[metric].interval
        spread = f"{_number(low, unit)} to {_number(high, unit)}" if low < high else ""
        rows.append(f"| {label} | {_number(value, unit)} | {spread} | `{result.command}` |")
    machine = load_result(FIGURES[0][1], folder=RESULTS).machine
    measured = "Measured on {cores} shared cores ({cpu}), {memory_gib} GiB.".format(**machine)
    return "\n".join([*rows, "", measured, ""])


def _number(value: float, unit: str) -> str:
    if unit == "cosine":
        return f"{value:.7f}"
    if unit == "%":
        return f"{100 * value:.1f} %"
    digits = 0 if abs(value) >= 100 or value == int(value) else 3 - len(str(int(abs(value))))
    return f"{value:,.{digits}f} {unit}".strip()


INTEROP = (
    ("Least cosine, sentence-transformers export against Kinoscope", "st_cosine", "cosine"),
    ("Mock tasks of mteb that ran, of all tried", "mteb_ok", "%"),
    ("Recall@10 kept by float16 vectors", "float16_recall_at_10", "%"),
    ("by int8 vectors, a quarter of the size", "int8_recall_at_10", "%"),
    ("by binary vectors, a thirty-second", "binary_recall_at_10", "%"),
    ("by binary vectors and a second ranking of forty", "binary_rerank_recall_at_10", "%"),
)

FIGURES = (
    ("Sample clips, text to video: R@1", "concepts_samples", "r1", "%"),
    ("R@5", "concepts_samples", "r5", "%"),
    ("R@10", "concepts_samples", "r10", "%"),
    ("R@5 of BM25 over the class labels", "concepts_samples", "bm25_r5", "%"),
    ("R@5 by chance", "concepts_samples", "chance_r5", "%"),
    ("Indexing a 10-minute 720p film, `exact`", "index_speed", "realtime_factor", "x real time"),
    ("the same, `keyframe`", "index_speed", "keyframe_realtime_factor", "x real time"),
    ("Share of processor time: decode", "index_speed", "decode_share", "%"),
    ("vision", "index_speed", "vision_share", "%"),
    ("write", "index_speed", "write_share", "%"),
    ("Memory while indexing a 2-hour film", "index_speed", "two_hour_peak_rss_mb", "MB"),
    ("Query, 100 000 clips, p50", "query_speed", "p50_ms_100k", "ms"),
    ("Query, 100 000 clips, p95", "query_speed", "p95_ms_100k", "ms"),
    ("Recall@10 of scan and rerank against exact", "query_speed", "recall_at_10", "%"),
    ("Query, 1 000 000 clips, p50", "query_speed", "p50_ms_1m", "ms"),
    ("1 000 000 clips of two vectors: built in", "scale_1m", "build_cpu_s", "processor s"),
    ("a query, p50, its text encoded", "scale_1m", "p50_ms", "ms"),
    ("recall@10 against exact", "scale_1m", "recall_at_10", "%"),
    ("memory of the searching process", "scale_1m", "rss_mb", "MB"),
    ("Index runs killed at a random moment", "crash", "kills", ""),
    ("and at a moment aimed at a commit", "crash", "kills_aimed", ""),
    ("rows lost after them", "crash", "rows_lost", ""),
    ("rows that differ from an undisturbed run", "crash", "rows_differing", ""),
    ("Hostile files", "hostile", "files", ""),
    ("of these with a silent wrong frame", "hostile", "silent_wrong", ""),
    ("failures without a name", "hostile", "unnamed_failures", ""),
    ("Shown frames that are another's, after random damage", "damage", "reader_another", "%"),
    ("the same, a plain loop over PyAV", "damage", "plain_another", "%"),
    ("`kinoscope --help`", "startup", "help_s", "s"),
    ("`import kinoscope`, which loads no PyTorch", "startup", "import_s", "s"),
    ("A new process until a text and a picture are encoded", "startup", "load_s", "s"),
)


def with_blocks(**blocks: Callable[[], str]) -> Callable[[str], str]:
    """Rewrites blocks of a page by name."""

    def write(page: str) -> str:
        for name, table in blocks.items():
            page = with_block(page, name, table())
        return page

    return write


def once_measured(table: Callable[[], str], *names: str) -> Callable[[], str]:
    """A table, or which of its results are not there yet."""

    def write() -> str:
        missing = [name for name in names if not (RESULTS / f"{name}.json").exists()]
        commands = " and ".join(f"`python -m recipes.{name}`" for name in missing)
        return f"Not measured yet; {commands} will.\n" if missing else table()

    return write


def of_world(table: Callable[[], str]) -> Callable[[], str]:
    """A table of the world's test split."""
    return once_measured(table, world_tables.NAME)


def of_bench(table: Callable[[], str]) -> Callable[[], str]:
    """A table of what things cost."""
    return once_measured(table, bench_tables.NAME)


PAGES = {
    "README.md": with_results,
    "docs/backbones.md": with_backbones,
    "docs/training.md": with_blocks(speed=training_tables.speed_table),
    "docs/mini.md": with_blocks(
        runs=training_tables.runs_table,
        validations=training_tables.validations_table,
        world=of_world(world_tables.world_table),
        opposites=of_world(world_tables.opposites_table),
        questions=of_world(world_tables.questions_table),
        mismatches=of_world(world_tables.mismatches_table),
        samples=once_measured(training_tables.samples_table, "samples_mini"),
        speed=once_measured(training_tables.mini_speed_table, "mini_speed"),
    ),
    "docs/results.md": with_blocks(
        leaderboard=evaluation_tables.leaderboard,
        ablation=once_measured(training_tables.ablation_table, "ablation_gcm"),
    ),
    "docs/scale.md": with_blocks(ray=once_measured(scale_tables.ray_table, scale_tables.NAME)),
    "docs/security.md": with_blocks(
        faults=once_measured(fault_tables.matrix_table, "faults"),
        fuzz=once_measured(fault_tables.fuzz_table, "fuzz"),
    ),
    "docs/thinking.md": with_blocks(
        study=once_measured(thinking_tables.study_table, "thinking_study"),
        ideas=once_measured(thinking_tables.ideas_table, "halting_ideas"),
    ),
    "docs/nuance.md": with_blocks(
        text_only=once_measured(nuance_tables.text_only_table, "nuance_text_only"),
        tuned=once_measured(nuance_tables.tuned_table, "nuance_mini"),
        handwritten=once_measured(nuance_tables.handwritten_table, "handwritten"),
    ),
    "docs/large.md": with_blocks(
        million=once_measured(large_tables.million_table, "scale_1m"),
        plan=once_measured(large_tables.plan_table, "sharded_topk"),
        tail=once_measured(large_tables.tail_table, "sharded_topk"),
    ),
    "docs/costs.md": with_blocks(
        costs=of_bench(bench_tables.costs_table),
        ratios=of_bench(bench_tables.ratios_table),
        decode=of_bench(bench_tables.decode_table),
        index=of_bench(bench_tables.index_table),
        query=of_bench(bench_tables.query_table),
    ),
    "docs/serve.md": with_blocks(figures=serve_tables.serve_table),
    "docs/LOG.md": with_blocks(wordings=training_tables.wordings_table),
}


if __name__ == "__main__":
    main()
