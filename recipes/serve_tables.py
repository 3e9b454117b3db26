"""The figures of the server, as its page shows them."""

from pathlib import Path

from kinoscope.evaluation.results import load_result

RESULTS = Path(__file__).parents[1] / "results"
_ROWS = {
    "serve_security": {
        "cases": "Malformed uploads, paths and addresses",
        "escaped": "of these with an answer that holds what it must not",
        "crashes": "that ended in a fault of the server",
    },
    "serve_browser": {
        "tests": "Tests of the page in headless Chromium",
        "failed": "of these that failed",
        "axe_pages": "Pages that axe-core looked at",
        "axe_serious": "its serious and critical findings on them",
    },
    "serve_load": {
        "requests_per_s": "Answers a second over 100 000 clips, at most",
        "p50_ms": "Milliseconds to an answer at half of that, p50",
        "p95_ms": "p95",
        "p50_ms_80": "at four fifths of it, p50",
        "p95_ms_80": "p95",
        "asked_answered_per_s": "Answers a second where 200 are asked for",
        "asked_p50_ms": "milliseconds to them, p50",
        "asked_p95_ms": "p95",
        "overload_answered_per_s": "Answers a second under half as much load again as it can bear",
        "overload_p95_ms": "milliseconds to them, p95",
        "refused_429": "told to come back",
        "overload_refusal_p95_ms": "milliseconds to be told, p95",
        "errors_5xx": "faults of the server",
        "rss_growth_mb": "Growth of memory, MB",
    },
}


def serve_table() -> str:
    """One row a figure; what is not measured says so."""
    lines = ["| what | value | command |", "|---|---|---|"]
    for name, rows in _ROWS.items():
        command = f"`python -m recipes.{name}`"
        if not (RESULTS / f"{name}.json").exists():
            lines.append(f"| {next(iter(rows.values()))} | not measured yet | {command} |")
            continue
        metrics = load_result(name, folder=RESULTS).metrics
        lines += [f"| {told} | {metrics[m].value:.4g} | {command} |" for m, told in rows.items()]
    return "\n".join([*lines, ""])
