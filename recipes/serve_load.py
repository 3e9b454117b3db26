"""How many mixed queries `kinoscope serve` answers over a large library, and how quickly."""

import argparse
import http.client
import itertools
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import psutil

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.handle import Index
from recipes.query_speed import CLIPS_A_VIDEO, WHAT, WHO, file_row, library

CLIPS, RATE, SECONDS = 100_000, 200.0, 60.0
CLIENTS = 48  # connections that are kept open; more would only wait
WARM_S = 5.0
_MIX = (  # of twenty requests, by turns
    *("text",) * 13,
    *("not",) * 2,
    *("look",) * 2,
    *("embed",) * 3,
)


@dataclass
class Answers:
    """Seconds from when each request was due to its whole answer, and statuses."""

    took_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, took_s: float, status: int) -> None:
        """One answer."""
        with self.lock:
            self.took_s.append(took_s)
            self.statuses[status] += 1


def main() -> None:
    """Builds the library, serves it from a process of its own, and asks at an even rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        index = Path(folder) / "index"
        build(index, asked.clips)
        with serving(index, Path(folder) / "cache") as (port, process):
            load(port, asked.rate / 4, WARM_S)
            before = process.memory_info().rss
            begin_s = time.perf_counter()
            answers = load(port, asked.rate, asked.seconds)
            took_s = time.perf_counter() - begin_s  # until the last answer
            growth = process.memory_info().rss - before
    metrics = figures(answers, took_s, growth)
    for name, metric in metrics.items():
        print(f"{name:>18} {metric.value:.3f}")
    if (asked.clips, asked.rate, asked.seconds) == (CLIPS, RATE, SECONDS):
        details = {
            "clips": CLIPS,
            "asked_per_s": RATE,
            "seconds": SECONDS,
            "connections": CLIENTS,
            "mix_of_twenty": dict(Counter(_MIX)),
            "latency": "from when a request was due, waiting for a connection included",
            "clients": "on the same machine",
        }
        save_result("serve_load", metrics, details=details)


def figures(answers: Answers, seconds: float, growth_bytes: int) -> dict[str, Metric]:
    """What is saved; a refusal with 429 is no answer, and no error either."""
    count = len(answers.took_s)
    good = answers.statuses[200]
    broken = sum(n for status, n in answers.statuses.items() if status >= 500 or status == 0)
    took_ms = 1000 * np.array(answers.took_s)
    return {
        "requests_per_s": Metric(value=good / seconds, n=count),
        "p50_ms": Metric(value=float(np.quantile(took_ms, 0.5)), n=count),
        "p95_ms": Metric(value=float(np.quantile(took_ms, 0.95)), n=count),
        "refused_429": Metric(value=answers.statuses[429], n=count),
        "errors_5xx": Metric(value=broken, n=count),
        "rss_growth_mb": Metric(value=growth_bytes / 2**20, n=count),
    }


def build(folder: Path, clips: int) -> None:
    """A library of made vectors, through the real store."""
    embedder = Embedder.load()
    index = Index.open(folder, embedder, create=True)
    with index.store.writing():
        for videos in library(embedder, clips // CLIPS_A_VIDEO):
            index.store.commit(videos, [file_row(name, found) for name, found in videos])
    index.derived()


@contextmanager
def serving(index: Path, cache: Path) -> Iterator[tuple[int, psutil.Process]]:
    """`kinoscope serve` at a free port."""
    words = [sys.executable, "-m", "kinoscope", "serve", "--port", "0"]
    words += ["--index", str(index), "--cache", str(cache)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r":(\d+)$", process.stderr.readline().strip())
        assert found, "the server did not start"
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or it would block
        try:
            yield int(found[1]), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def load(port: int, rate: float, seconds: float) -> Answers:
    """Asks at an even rate, whatever the answers take: request n is due at n / rate seconds."""
    answers, numbers = Answers(), itertools.count()
    bodies = requests()
    begin_s = time.perf_counter()

    def client() -> None:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in numbers:
            due_s = begin_s + number / rate
            if due_s >= begin_s + seconds:
                return
            time.sleep(max(0.0, due_s - time.perf_counter()))
            path, body = bodies[number % len(bodies)]
            status = ask(asking, path, body)
            answers.add(time.perf_counter() - due_s, status)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def ask(asking: http.client.HTTPConnection, path: str, body: bytes) -> int:
    """The status of one answer, read whole; 0 for a broken connection."""
    try:
        asking.request("POST", path, body, {"Content-Type": "application/json"})
        answer = asking.getresponse()
        answer.read()
        return answer.status
    except (http.client.HTTPException, OSError):
        asking.close()
        return 0


def requests() -> Sequence[tuple[str, bytes]]:
    """Paths and bodies: every sentence with every kind of request."""
    texts = [f"{who} {what}" for who, what in product(WHO, WHAT)]
    made = []
    for number, text in enumerate(texts * 2):
        kind = _MIX[number % len(_MIX)]
        body: dict[str, object] = {"text": text, "k": 10}
        if kind == "not":
            body["not"] = [WHO[number % len(WHO)].replace("a ", "some ")]
        elif kind == "look":
            body["group"] = "look"
        elif kind == "embed":
            body = {"input": [text]}
        path = "/v1/embeddings" if kind == "embed" else "/api/search"
        made.append((path, json.dumps(body).encode()))
    return made


if __name__ == "__main__":
    main()
