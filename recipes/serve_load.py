"""How many mixed queries `kinoscope serve` answers over a large library, and how quickly.

First the limit: twice as many clients as the server has turns ask without a pause. Then half of it
and four fifths of it, asked at an even rate, for the time an answer takes. Then 200 requests a
second, be that below the limit or not, and at last half as many again as the server can answer, or
as were asked: the rest must be refused, at once, with a time to come back, and memory must not
grow. No question comes twice.

`requests_per_s` is the limit; `p50_ms` and `p95_ms` are those at half of it, `p50_ms_80` and
`p95_ms_80` at four fifths; names that begin with `asked_` are of the 200 a second, those with
`overload_` and `refused_429` of the overload, `errors_5xx` of all phases, and `rss_growth_mb` from
the warm server to the end.
Answers are timed from when a request was due.
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from kinoscope.evaluation.results import Metric, save_result
from kinoscope.server.config import ServeLimits
from recipes.serve_asking import MIX, Asking, Phase, build, serving

CLIPS, RATE, SECONDS = 100_000, 200.0, 60.0
CONNECTIONS = 512  # at most: many more than the server lets wait, so that none waits for one
PARTS = (0.5, 0.8)
TOO_MUCH = 1.5
_WARM_S = 5.0


@dataclass(frozen=True)
class Load:
    """The phases in their order, and the growth of the server's memory over them."""

    limit: Phase
    below: tuple[Phase, ...]
    asked: Phase
    overload: Phase
    growth_bytes: int


def main() -> None:
    """Builds the library, serves it from a process of its own, and asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        index = Path(folder) / "index"
        build(index, asked.clips)
        with serving(index, Path(folder) / "cache") as (port, process):
            found = asyncio.run(load(port, process, asked.rate, asked.seconds))
    metrics = figures(found)
    for name, metric in metrics.items():
        print(f"{name:>24} {metric.value:.3f}")
    details = {
        "clips": asked.clips,
        "asked_per_s": asked.rate,
        "overload_per_s": round(TOO_MUCH * max(asked.rate, found.limit.good_per_s), 1),
        "seconds_each_phase": asked.seconds,
        "mix_of_twenty": dict(Counter(MIX)),
        "clients": "on the same machine, on the same cores",
        "clients_cores": {phase.name: phase.clients_cores for phase in phases(found)},
        "server_cores": {phase.name: phase.server_cores for phase in phases(found)},
        "statuses": {phase.name: dict(phase.statuses) for phase in phases(found)},
        "latency": "from when a request was due",
    }
    for name in ("clients_cores", "server_cores", "statuses"):
        print(f"{name:>24} {details[name]}")
    if (asked.clips, asked.rate, asked.seconds) == (CLIPS, RATE, SECONDS):
        save_result("serve_load", metrics, details=details)
    broken = metrics["errors_5xx"].value
    if broken:
        sys.exit(f"{broken:g} faults of the server")


async def load(port: int, process: psutil.Process, rate: float, seconds: float) -> Load:
    """All phases against a server that is ready."""
    clients, asking = 2 * ServeLimits().turns, Asking(port, process, CONNECTIONS)
    await asking.without_pause("warm", clients, _WARM_S)
    before = process.memory_info().rss
    limit = await asking.without_pause("limit", clients, seconds)
    below = [
        await asking.evenly(f"{part:.0%} of it", part * limit.good_per_s, seconds) for part in PARTS
    ]
    asked = await asking.evenly(f"{rate:g} a second", rate, seconds)
    too_much = TOO_MUCH * max(rate, limit.good_per_s)
    overload = await asking.evenly("overload", too_much, seconds)
    growth = process.memory_info().rss - before
    return Load(limit, tuple(below), asked, overload, growth)


def phases(found: Load) -> tuple[Phase, ...]:
    """In their order."""
    return (found.limit, *found.below, found.asked, found.overload)


def figures(found: Load) -> dict[str, Metric]:
    """What is saved; a refusal with 429 is no answer, and no error either."""
    half, most = found.below
    over, every = found.overload, sum(phase.count for phase in phases(found))
    broken = sum(phase.broken for phase in phases(found))
    return {
        "requests_per_s": Metric(value=found.limit.good_per_s, n=found.limit.count),
        "p50_ms": half.quantile_ms(0.5),
        "p95_ms": half.quantile_ms(0.95),
        "p50_ms_80": most.quantile_ms(0.5),
        "p95_ms_80": most.quantile_ms(0.95),
        "asked_answered_per_s": Metric(value=found.asked.good_per_s, n=found.asked.count),
        "asked_p50_ms": found.asked.quantile_ms(0.5),
        "asked_p95_ms": found.asked.quantile_ms(0.95),
        "overload_answered_per_s": Metric(value=over.good_per_s, n=over.count),
        "overload_p50_ms": over.quantile_ms(0.5),
        "overload_p95_ms": over.quantile_ms(0.95),
        "overload_refusal_p95_ms": over.quantile_ms(0.95, status=429),
        "refused_429": Metric(value=over.statuses[429], n=over.count),
        "errors_5xx": Metric(value=broken, n=every),
        "rss_growth_mb": Metric(value=found.growth_bytes / 2**20, n=every),
    }


if __name__ == "__main__":
    main()
