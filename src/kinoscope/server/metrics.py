"""What Prometheus reads: latency by stage, requests, the queue, the size of the index, failures."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The figures of one server, apart from those of any other in this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "kinoscope_requests",
            "Answers, by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._stages = Histogram(
            "kinoscope_stage_seconds",
            "Seconds a stage took: request, turn, queue, model, decode, search, match, poster,"
            " preview.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._failures = Counter(
            "kinoscope_failures",
            "Requests that failed, by kind of error.",
            ["kind"],
            registry=self._registry,
        )

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A figure that is looked up whenever it is read."""
        Gauge(f"kinoscope_{name}", meaning, registry=self._registry).set_function(value)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds inside, whether it ends well or not."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - began_s)

    def took(self, stage: str, seconds: float) -> None:
        """Counts seconds that were measured elsewhere."""
        self._stages.labels(stage).observe(seconds)

    def answered(self, route: str, status: int) -> None:
        """Counts an answer; `route` is a pattern, so that their number is bounded."""
        self._requests.labels(route, str(status)).inc()

    def failed(self, kind: str) -> None:
        """Counts an error by its kind."""
        self._failures.labels(kind).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
