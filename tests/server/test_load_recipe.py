"""The recipe of load: what it sends, what it counts, and from when it measures."""

import asyncio
import json
from collections import Counter

import psutil
import pytest

from recipes.serve_asking import MIX, Asking, Phase, request
from recipes.serve_load import PARTS, Load, figures, load
from tests.server.made import Palette, running


def parsed(sent: bytes) -> tuple[str, dict]:
    head, _, body = sent.partition(b"\r\n\r\n")
    return head.split()[1].decode(), json.loads(body)


def test_the_mix_has_every_kind_in_its_share_and_no_question_twice() -> None:
    sent = [parsed(request(number)) for number in range(6000)]
    kinds = Counter(
        "embed" if path == "/v1/embeddings" else "not" if "not" in asked else asked.get("group")
        for path, asked in sent
    )
    assert kinds == {"embed": 900, "not": 600, "look": 600, None: 3900}
    texts = [asked.get("text") or asked["input"][0] for _, asked in sent]
    assert len(set(texts)) == len(texts)


def test_a_server_is_asked_in_all_phases_and_none_fails(library, tmp_path) -> None:
    with running(library[1], tmp_path) as address:
        port = int(address.rpartition(":")[2])
        found = asyncio.run(load(port, psutil.Process(), rate=40.0, seconds=1.0))
    metrics = figures(found)
    assert metrics["errors_5xx"].value == 0 and metrics["requests_per_s"].value > 1
    assert found.asked.count == 40
    assert found.overload.count == round(1.5 * max(40.0, found.limit.good_per_s))
    assert [phase.name for phase in found.below] == [f"{part:.0%} of it" for part in PARTS]
    assert found.limit.clients_cores > 0


def test_an_answer_is_timed_from_when_its_request_was_due(library, tmp_path) -> None:
    palette = Palette()
    with running(library[1], tmp_path, palette=palette) as address:
        asking = Asking(int(address.rpartition(":")[2]), psutil.Process(), most=1)

        async def held() -> Phase:
            palette.hold.clear()
            asyncio.get_running_loop().call_later(0.5, palette.hold.set)
            return await asking.evenly("held", 20.0, 0.5)

        phase = asyncio.run(held())
    assert phase.statuses == {200: 10}
    assert phase.took_s[0] > 0.4 and max(phase.took_s[1:4]) > 0.2, "waiting for a connection counts"


def test_faults_and_broken_connections_are_errors_and_refusals_are_not() -> None:
    told = Phase("x", took_s=[0.1, 0.2, 0.3, 0.4], told=[200, 429, 500, 0], seconds=2.0)
    quiet = Phase("y", took_s=[0.1], told=[200], seconds=1.0)
    metrics = figures(Load(quiet, (quiet, quiet), quiet, told, growth_bytes=2**20))
    assert metrics["errors_5xx"].value == 2 and metrics["refused_429"].value == 1
    assert metrics["overload_answered_per_s"].value == 0.5
    assert metrics["overload_refusal_p95_ms"].value == pytest.approx(200)
    assert metrics["rss_growth_mb"].value == 1


def test_who_does_not_answer_is_counted_as_broken() -> None:
    asking = Asking(9, psutil.Process(), most=2)  # nobody listens there
    phase = asyncio.run(asking.evenly("nobody", 100.0, 0.05))
    assert phase.broken == phase.count == 5
    assert len(MIX) == 20
