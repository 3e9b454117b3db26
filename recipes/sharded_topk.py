"""How long the slowest of many shards takes: top-k over a library that lies on many machines.

    python -m recipes.sharded_topk [--rows N,N] [--searches N] [--queries N]

Milliseconds of processor time that one shard takes are measured on vectors made at random, at two
sizes: what else a machine does is not in them. A shard of another size scatters likewise around the
line through both, but for rare stops, which are as long. A query goes to all shards at once and
waits for the last: each draws its time anew, each replica does one query after another. What stops
a real shard for a moment, a disk or a neighbour, is assumed in some cases. A limited run is printed
and not saved.
"""

import argparse
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np

from kinoscope.evaluation.results import Metric, load_result, save_result
from kinoscope.heads import normalise
from kinoscope.index.vectors import ScanSearcher, build_scan, scan_bytes
from kinoscope.types import Float64, Int64
from recipes.arguments import at_least

DIMENSION = 384
K = 10
ROWS = (50_000, 200_000)
SEARCHES = 1000  # that are measured at each size
QUERIES = 4000  # that are simulated in each case

BILLION = 1_000_000_000
VECTORS_A_CLIP = 2
ROWS_A_SHARD = 4_000_000
SHARDS = (1, 16, 128, 500)
CASES = {
    "quiet": (0.1, 0.0),
    "busy": (0.5, 0.0),
    "quiet_pauses": (0.1, 0.002),
    "busy_pauses": (0.5, 0.002),
}
"""Share of the time for which a replica is at work, and of the requests that meet a pause."""

PAUSE_MS = 200.0
"""How long one is; like their number an assumption."""

CLIPS_AN_HOUR = 1800
"""One every two seconds."""

NETWORK_MS = 0.5
"""To a shard and back, within one building; an assumption."""

PRICES = {"core_hour": 0.04, "gib_month_memory": 2.5, "gib_month_disk": 0.08}
"""In dollars, of rented machines; assumptions, to be replaced by one's own."""

Policy = Literal["one", "either", "idler", "hedged"]
"""One replica; either of two; that with less to do; that, and if it is late the other, if idle."""

REPLICAS: dict[Policy, int] = {"one": 1, "either": 2, "idler": 2, "hedged": 2}
HEDGE_AT = 0.95
"""A second replica is asked once so many of all answers would be here."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Single searches on one shard, and the line through the medians of two sizes.

    Attributes:
        scatter: times by their median, up to the 99th percentile: they grow with a shard.
        stops_ms: what each took beyond that: a stop is as long on a large shard.
        start_ms, ms_a_million: the line, over rows.
    """

    scatter: Float64
    stops_ms: Float64
    start_ms: float
    ms_a_million: float

    def __post_init__(self) -> None:
        assert self.scatter.shape == self.stops_ms.shape, (self.scatter.shape, self.stops_ms.shape)
        assert (self.scatter > 0).all() and self.ms_a_million >= 0, self.ms_a_million

    def sample(self, rows: int, paused: float = 0.0) -> Float64:
        """Times of a shard of so many rows; of so many draws one, `1 / paused`, meets a pause."""
        median_ms = self.start_ms + self.ms_a_million * rows / 1e6
        times = self.scatter * median_ms + self.stops_ms
        if not paused:
            return np.asarray(times)
        many = np.repeat(times, max(1, round(1 / paused)))
        many[:: round(1 / paused)] += PAUSE_MS
        return many


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures a shard, simulates all cases, and saves `results/sharded_topk.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.sharded_topk")
    parser.add_argument("--rows", type=_sizes, default=ROWS, help="two sizes of a shard")
    parser.add_argument("--searches", type=at_least(20), default=SEARCHES, help="that are timed")
    parser.add_argument("--queries", type=at_least(20), default=QUERIES, help="in each case")
    asked = parser.parse_args(arguments)
    service = measured(asked.rows, asked.searches)
    service_ms = service.sample(ROWS_A_SHARD)
    metrics = {
        "shard_start_ms": Metric(value=service.start_ms, n=asked.searches),
        "shard_ms_a_million": Metric(value=service.ms_a_million, n=asked.searches),
        "shard_p50_ms": Metric(value=float(np.quantile(service_ms, 0.5)), n=asked.searches),
        "shard_p99_ms": Metric(value=float(np.quantile(service_ms, 0.99)), n=asked.searches),
    }
    for name, shards, policy in product(CASES, SHARDS, get_args(Policy)):
        load, paused = CASES[name]
        drawn_ms = service.sample(ROWS_A_SHARD, paused)
        taken = simulated(drawn_ms, shards, load, policy, asked.queries)
        for part in (0.5, 0.99):
            value = float(np.quantile(taken, part)) + NETWORK_MS
            figure = f"p{round(100 * part)}_ms_{policy}_{shards}_{name}"
            metrics[figure] = Metric(value=value, n=asked.queries)
    for name, metric in metrics.items():
        print(f"{name:>30} {metric.value:.2f}")
    details = {
        "rows": list(asked.rows),
        "rows_a_shard": ROWS_A_SHARD,
        "network_ms": NETWORK_MS,
        "hedge_at": HEDGE_AT,
        "cases": CASES,
        "pause_ms": PAUSE_MS,
        "asked_of_a_shard": {str(shards): least_k(shards) for shards in SHARDS},
        "plan": plan(),
        "times": "processor time of all threads of a search: other work on the machine is left out",
    }
    if (asked.rows, asked.searches, asked.queries) != (ROWS, SEARCHES, QUERIES):
        print(f"part of a run: not saved; {details['plan']}")
        return
    save_result("sharded_topk", metrics, details=details)


def _sizes(text: str) -> tuple[int, int]:
    small, large = (at_least(1000)(each) for each in text.split(",", 1))
    if small >= large:
        raise argparse.ArgumentTypeError(f"{text!r}: give a small size and a large one")
    return small, large


# --- one shard, measured


def measured(sizes: tuple[int, int], searches: int) -> Service:
    """The scan and the exact rerank of a shard, one query at a time."""
    times = [timed_ms(rows, searches) for rows in sizes]
    medians = [float(np.median(each)) for each in times]
    slope = max(0.0, (medians[1] - medians[0]) / (sizes[1] - sizes[0]))
    start_ms = max(0.0, medians[0] - slope * sizes[0])
    usual = [np.minimum(each, np.quantile(each, 0.99)) for each in times]
    return Service(
        scatter=np.concatenate([each / m for each, m in zip(usual, medians, strict=True)]),
        stops_ms=np.concatenate([a - b for a, b in zip(times, usual, strict=True)]),
        start_ms=start_ms,
        ms_a_million=1e6 * slope,
    )


def timed_ms(rows: int, searches: int) -> Float64:
    """Milliseconds of processor time of each search, after a tenth of them to warm up."""
    rng = np.random.default_rng(0)
    vectors_ND = normalise(rng.normal(size=(rows, DIMENSION)).astype(np.float32))
    searcher = ScanSearcher(vectors_ND, build_scan(vectors_ND))
    queries_QD = normalise(rng.normal(size=(searches, DIMENSION)).astype(np.float32))
    taken = []
    for number in [*range(0, searches, 10), *range(searches)]:
        began_s = time.process_time()
        searcher.top(queries_QD[[number]], K)
        taken.append(1000 * (time.process_time() - began_s))
    return np.array(taken[-searches:])


# --- many shards, simulated


def simulated(
    service_ms: Float64, shards: int, load: float, policy: Policy, queries: int, seed: int = 0
) -> Float64:
    """Milliseconds of each query [Q] until the last shard has answered.

    Queries come at random, so many that a replica is at work for `load` of the time if each shard
    is asked once a query. A replica does one after another. A second request that is not needed
    after all is done to its end, as is the first.
    """
    assert shards >= 1 and 0 < load < 1 and queries >= 1, (shards, load, queries)
    rng = np.random.default_rng(seed)
    replicas = REPLICAS[policy]
    gaps_Q = rng.exponential(service_ms.mean() / load / replicas, queries)
    late_ms = late_after(service_ms, load, queries, seed) if policy == "hedged" else math.inf
    line = _Line(service_ms, shards, replicas, rng)
    arrivals_Q = np.cumsum(gaps_Q)
    for query, now in enumerate(arrivals_Q):
        line.ask_again(until=now)
        chosen = line.free.argmin(axis=1)
        if policy in ("one", "either"):
            chosen = rng.integers(replicas, size=shards)
        line.ask(query, now, chosen, late_ms)
    line.ask_again(until=math.inf)
    return np.array([line.done[query].max() for query in range(queries)]) - arrivals_Q


class _Line:
    """Replicas of all shards, each of which does one request after another.

    Attributes:
        free: when each replica [shards, replicas] has done all that it was given.
        done: of each query, when each shard has answered.
    """

    def __init__(
        self, service_ms: Float64, shards: int, replicas: int, rng: np.random.Generator
    ) -> None:
        self.free = np.zeros((shards, replicas))
        self.done: dict[int, Float64] = {}
        self._service_ms, self._rng, self._every = service_ms, rng, np.arange(shards)
        self._late: deque[tuple[float, int, int, int, float]] = deque()

    def ask(self, query: int, now: float, chosen: Int64, late_ms: float) -> None:
        """Gives the query to one replica of each shard; of those that will be late, notes it."""
        drawn = self._rng.choice(self._service_ms, len(self._every))
        done = np.maximum(self.free[self._every, chosen], now) + drawn
        self.free[self._every, chosen] = done
        self.done[query] = done
        late = np.flatnonzero(done - now > late_ms)
        for shard, again_ms in zip(
            late, self._rng.choice(self._service_ms, len(late)), strict=True
        ):
            other = 1 - int(chosen[shard])
            self._late.append((now + late_ms, query, int(shard), other, float(again_ms)))

    def ask_again(self, until: float) -> None:
        """Gives late requests to the other replica when they are late, if it has nothing to do."""
        while self._late and self._late[0][0] <= until:
            due, query, shard, other, again_ms = self._late.popleft()
            if self.free[shard, other] > due:  # else a burst would ask twice for all, and last
                continue
            again = due + again_ms
            self.free[shard, other] = again
            self.done[query][shard] = min(self.done[query][shard], again)


def late_after(service_ms: Float64, load: float, queries: int, seed: int) -> float:
    """When `HEDGE_AT` of a single shard's answers are here, without second requests.

    Of answers, not of times of work: where replicas have queues, nearly every request would be
    late by the latter, and second requests would double the load.
    """
    return float(np.quantile(simulated(service_ms, 1, load, "idler", queries, seed), HEDGE_AT))


def least_k(shards: int, k: int = K, missed: float = 1e-3) -> int:
    """How many each shard must be asked for, so that of the k best of all few are missed.

    Rows lie on shards by chance: how many of the k best one shard has is binomial. The j best of
    each shard miss what it has beyond j; on the whole at most `missed` of the k.
    """
    share = 1 / shards
    chances = [math.comb(k, n) * share**n * (1 - share) ** (k - n) for n in range(k + 1)]
    for j in range(1, k + 1):
        lost = shards * sum((n - j) * chances[n] for n in range(j + 1, k + 1))
        if lost <= missed * k:
            return j
    return k


# --- what a billion clips need


def plan(rows_a_shard: int = ROWS_A_SHARD) -> dict[str, float]:
    """Sizes and costs of a billion clips, of the figures measured here and of `PRICES`."""
    rows = BILLION * VECTORS_A_CLIP
    shards, hours = -(-rows // rows_a_shard), BILLION / CLIPS_AN_HOUR
    indexing = load_result("index_speed").metrics["realtime_factor"].value
    cores = int(str(load_result("index_speed").machine["cores"]))
    vector_bytes = 4 * DIMENSION
    codes_gib = scan_bytes(rows_a_shard, DIMENSION) / 2**30
    disk_gib = 2 * rows_a_shard * vector_bytes / 2**30  # the table, and the arrays that are mapped
    copies = REPLICAS["hedged"]
    month = (
        copies
        * shards
        * (
            PRICES["core_hour"] * 730
            + PRICES["gib_month_memory"] * 2 * codes_gib
            + PRICES["gib_month_disk"] * disk_gib
        )
    )
    asked = least_k(shards)
    return {
        "hours_of_video": hours,
        "rows": rows,
        "shards": shards,
        "codes_gib_a_shard": codes_gib,
        "disk_gib_a_shard": disk_gib,
        "core_hours_an_hour_of_video": cores / indexing,
        "index_dollars_an_hour_of_video": PRICES["core_hour"] * cores / indexing,
        "serve_dollars_an_hour_and_month": month / hours,
        "serve_dollars_a_month": month,
        "asked_of_a_shard": asked,
        "query_kib_out": shards * vector_bytes / 2**10,
        "query_kib_back": shards * asked * 16 / 2**10,
    }


if __name__ == "__main__":
    main()
