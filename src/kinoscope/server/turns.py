"""Turns at the server's threads: first come, first served, and who would wait too long is told."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from kinoscope.server.faults import Busy

_T = TypeVar("_T")
_NEWEST = 0.1  # how much of the pace the newest turn is


class Turns:
    """Runs the work of requests in so many threads. For one event loop.

    A request that comes while all are at work waits. How long is foreseen from how many wait
    before it, and from the pace at which turns have ended lately, while some waited; where none
    has ended for longer than that, as long again. Beyond a bound it is refused at once, so that
    no answer comes when its client has given up, and those that wait are answered in time.
    """

    def __init__(
        self, threads: int, most_s: float, *, waited: Callable[[float], None] | None = None
    ) -> None:
        """`most_s` is the bound; `waited` is told how many seconds each waited for its turn."""
        self._threads, self._most_s, self._waited = threads, most_s, waited
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="turn")
        self._inside = 0
        self._pace_s = 0.0
        self._since_s = 0.0  # when the last turn ended, or the first began to wait behind it

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return max(0, self._inside - self._threads)

    def foreseen_s(self) -> float:
        """Seconds that a request would wait if it came now."""
        if self._inside < self._threads:
            return 0.0
        stalled_s = max(0.0, time.monotonic() - self._since_s - self._pace_s)
        return (self.waiting + 1) * self._pace_s + stalled_s

    async def run(self, work: Callable[[], _T]) -> _T:
        """What `work` returns. Raises `Busy` where it would wait too long, else as `work`."""
        wait_s = self.foreseen_s()
        if wait_s > self._most_s:
            raise Busy(
                f"{self.waiting} requests wait: come back in {math.ceil(wait_s)} s",
                math.ceil(wait_s),
            )
        self._inside += 1
        if self._inside <= self._threads + 1:  # nobody waited before
            self._since_s = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, partial(self._take, work, loop.time()))
        finally:
            self._end()

    def close(self) -> None:
        """Waits for what is at work or waits."""
        self._pool.shutdown()

    def _take(self, work: Callable[[], _T], came_s: float) -> _T:
        if self._waited is not None:
            self._waited(time.monotonic() - came_s)  # a loop's time is the monotonic one
        return work()

    def _end(self) -> None:
        now_s = time.monotonic()
        if self._inside > self._threads:
            self._pace_s += _NEWEST * (now_s - self._since_s - self._pace_s)
        self._inside -= 1
        self._since_s = now_s
