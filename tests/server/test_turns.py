"""Turns: first come, first served, and who would wait too long is told at once."""

import asyncio
import threading
import time

import pytest

from kinoscope.errors import UsageError
from kinoscope.server.config import ServeLimits
from kinoscope.server.faults import Busy
from kinoscope.server.turns import Turns
from tests.server.made import Palette, message, served


async def outcomes(turns: Turns, arrivals: int, gap_s: float, work_s: float) -> list:
    """What each of so many requests that come at an even pace got, and after how long."""

    async def one() -> tuple[str, float]:
        began_s = time.monotonic()
        try:
            await turns.run(lambda: time.sleep(work_s))
        except Busy as error:
            assert error.retry_after_s >= 1
            return "refused", time.monotonic() - began_s
        return "answered", time.monotonic() - began_s

    tasks = []
    for _ in range(arrivals):
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(gap_s)
    return await asyncio.gather(*tasks)


def test_twice_as_much_as_can_be_answered_is_half_refused_at_once_and_half_answered_soon() -> None:
    turns = Turns(2, 0.3)
    told = asyncio.run(outcomes(turns, 120, 0.01, 0.04))  # 100 a second, of which 50 can be
    turns.close()
    refused = [took_s for outcome, took_s in told if outcome == "refused"]
    answered = [took_s for outcome, took_s in told if outcome == "answered"]
    assert len(refused) > 20 and len(answered) > 40
    assert max(refused) < 0.1
    assert max(answered) < 1.0, "without a bound the last would have waited 1.2 s"
    assert turns.waiting == 0


def test_less_than_can_be_answered_is_never_refused() -> None:
    turns = Turns(2, 0.2)
    told = asyncio.run(outcomes(turns, 60, 0.02, 0.01))
    turns.close()
    assert all(outcome == "answered" for outcome, _ in told)


def test_where_nothing_moves_the_next_is_refused_and_all_is_well_once_it_does() -> None:
    turns, go = Turns(1, 0.05), threading.Event()

    async def stuck() -> None:
        first = asyncio.create_task(turns.run(lambda: go.wait(30)))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(turns.run(lambda: True))
        await asyncio.sleep(0.2)
        assert turns.waiting == 1
        with pytest.raises(Busy, match="1 requests wait: come back in 1 s"):
            await turns.run(lambda: True)
        go.set()
        assert await asyncio.gather(first, second) == [True, True]
        assert turns.foreseen_s() == 0.0
        assert await turns.run(lambda: "soon") == "soon"

    asyncio.run(stuck())
    turns.close()


def test_turns_go_in_order_and_an_error_reaches_who_asked_alone() -> None:
    done: list[int] = []
    turns = Turns(1, 60.0)

    def work(number: int) -> int:
        if number == 2:
            raise UsageError("no such thing")
        done.append(number)
        return number

    async def all_of_them() -> list:
        asked = [turns.run(lambda n=n: work(n)) for n in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    told = asyncio.run(all_of_them())
    turns.close()
    assert done == [0, 1, 3, 4] == [each for each in told if isinstance(each, int)]
    assert isinstance(told[2], UsageError)


def test_a_server_that_is_stuck_refuses_searches_with_a_time_and_answers_the_rest(
    library, tmp_path
) -> None:
    palette = Palette()
    limits = ServeLimits(turns=1, turn_s=0.05)
    with served(library[1], tmp_path, palette=palette, limits=limits) as client:
        palette.hold.clear()
        asked = [
            threading.Thread(target=client.post, args=("/api/search",), kwargs={"json": body})
            for body in ({"text": "red"}, {"text": "blue"})
        ]
        for each in asked:
            each.start()
        while "kinoscope_turn_requests 1.0" not in client.get("/metrics").text:
            pass
        time.sleep(0.1)
        answer = client.post("/v1/embeddings", json={"input": ["green"]})
        assert answer.status_code == 429 and "requests wait: come back in" in message(answer)
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.get("/health").status_code == 200, "what needs no turn is answered"
        palette.hold.set()
        for each in asked:
            each.join()
        assert client.post("/api/search", json={"text": "red"}).status_code == 200
        assert "kinoscope_turn_requests 0.0" in client.get("/metrics").text
