"""Clients of `kinoscope serve` that cost little themselves: one thread, many connections."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric
from kinoscope.index.handle import Index
from recipes.query_speed import CLIPS_A_VIDEO, TEXTS, WHO, file_row, library

MIX = (  # of twenty requests, by turns
    *("text",) * 13,
    *("not",) * 2,
    *("look",) * 2,
    *("embed",) * 3,
)
_PATIENCE_S = 60.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ENDED = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError)


@dataclass
class Phase:
    """What came of some seconds of asking: seconds of each answer and its status, 0 for none.

    `clients_cores` and `server_cores` are processors that were busy with either on average.
    """

    name: str
    took_s: list[float] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    seconds: float = 0.0
    clients_cores: float = 0.0
    server_cores: float = 0.0

    @property
    def count(self) -> int:
        """Requests."""
        return len(self.told)

    @property
    def statuses(self) -> Counter[int]:
        """How often each came."""
        return Counter(self.told)

    @property
    def good_per_s(self) -> float:
        """Answers with 200 a second, until the last answer."""
        return self.statuses[200] / self.seconds

    @property
    def broken(self) -> int:
        """Faults of the server, and connections that ended without an answer."""
        return sum(status >= 500 or status == 0 for status in self.told)

    def quantile_ms(self, part: float, status: int = 200) -> Metric:
        """Of the milliseconds to an answer of that status; 0 where there is none."""
        pairs = zip(self.told, self.took_s, strict=True)
        took_s = [seconds for told, seconds in pairs if told == status]
        took_s = took_s or [0.0]
        return Metric(value=1000 * float(np.quantile(took_s, part)), n=len(took_s))


def request(number: int) -> bytes:
    """One of the mix, whole as it is sent. No sentence comes twice in 54 000."""
    kind, lap = MIX[number % len(MIX)], number // len(TEXTS)
    text = f"{TEXTS[(number + lap) % len(TEXTS)]} in {1850 + lap % 180}"
    asked: dict[str, object] = {"text": text, "k": 10}
    if kind == "not":
        asked["not"] = [WHO[number % len(WHO)].replace("a ", "some ")]
    elif kind == "look":
        asked["group"] = "look"
    elif kind == "embed":
        asked = {"input": [text]}
    path = "/v1/embeddings" if kind == "embed" else "/api/search"
    return message(path, asked)


def message(path: str, asked: dict[str, object]) -> bytes:
    """A POST of JSON."""
    body = json.dumps(asked).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One that is kept open; opened anew after a fault."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> int:
        """The status of the answer, read whole; 0 for none."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(sent)
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                return int(head[9:12])
        except _ENDED:
            self.close()
            return 0

    def close(self) -> None:
        """It may be asked again."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


@dataclass
class Asking:
    """Asks the server at a port, whose process is watched; each request is the next of the mix."""

    port: int
    process: psutil.Process
    most: int
    number: int = 0

    async def without_pause(self, name: str, clients: int, seconds: float) -> Phase:
        """So many clients, each of which asks again when it has its answer."""
        phase, begin_s = Phase(name), time.perf_counter()

        async def client() -> None:
            connection = Connection(self.port)
            while time.perf_counter() < begin_s + seconds:
                await self._one(phase, connection, time.perf_counter())
            connection.close()

        with self._watched(phase):
            await asyncio.gather(*(client() for _ in range(clients)))
        return phase

    async def evenly(self, name: str, rate: float, seconds: float) -> Phase:
        """Request n is due at n / rate seconds, whatever the answers take.

        Over `most` connections, each that is free is taken; where none is, it is waited for.
        """
        phase, begin_s = Phase(name), time.perf_counter()
        free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for _ in range(self.most):
            free.put_nowait(Connection(self.port))

        async def one(due_s: float) -> None:
            connection = await free.get()
            await self._one(phase, connection, due_s)
            free.put_nowait(connection)

        with self._watched(phase):
            async with asyncio.TaskGroup() as tasks:
                for number in range(round(rate * seconds)):
                    due_s = begin_s + number / rate
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                    tasks.create_task(one(due_s))
        while not free.empty():
            free.get_nowait().close()
        return phase

    async def _one(self, phase: Phase, connection: Connection, due_s: float) -> None:
        sent, self.number = request(self.number), self.number + 1
        status = await connection.ask(sent)
        phase.took_s.append(time.perf_counter() - due_s)
        phase.told.append(status)

    @contextmanager
    def _watched(self, phase: Phase) -> Iterator[None]:
        processes = (psutil.Process(), self.process)
        before, begin_s = [_busy_s(each) for each in processes], time.perf_counter()
        yield
        phase.seconds = time.perf_counter() - begin_s
        after = [_busy_s(each) for each in processes]
        phase.clients_cores, phase.server_cores = (
            round((b - a) / phase.seconds, 3) for a, b in zip(before, after, strict=True)
        )


def _busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def build(folder: Path, clips: int) -> None:
    """A library of made vectors, through the real store."""
    embedder = Embedder.load()
    index = Index.open(folder, embedder, create=True)
    with index.store.writing():
        for videos in library(embedder, clips // CLIPS_A_VIDEO):
            index.store.commit(videos, [file_row(name, found) for name, found in videos])
    index.derived()


@contextmanager
def serving(
    index: Path, cache: Path, also: Sequence[str] = ()
) -> Iterator[tuple[int, psutil.Process]]:
    """`kinoscope serve` at a free port: the port, and its process."""
    words = [sys.executable, "-m", "kinoscope", "serve", "--port", "0"]
    words += ["--index", str(index), "--cache", str(cache), *also]
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
