"""Who may ask, by which name, how often and how much: everything else is refused."""

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.server.config import ServeConfig, ServeLimits
from kinoscope.server.guard import COOKIE, Rates, session_of
from tests.server.made import message, running, served

TOKEN = "a-long-enough-token-for-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(library, tmp_path_factory):
    """A server that other machines may reach."""
    settings = dict(host="0.0.0.0", token=TOKEN, hosts=("videos.example",))
    with served(library[1], tmp_path_factory.mktemp("cache"), **settings) as asking:
        yield asking


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_machines_need_a_token(host) -> None:
    with pytest.raises(UsageError, match="set a token in KINOSCOPE_TOKEN"):
        ServeConfig(host=host)
    assert not ServeConfig(host=host, token=TOKEN).local


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_needs_none(host) -> None:
    assert ServeConfig(host=host).local


def test_a_token_is_long_and_is_not_printed() -> None:
    for token in ("", "short", "x" * 15, "ü" * 20, "line\n" * 8):
        with pytest.raises(UsageError, match="the token needs 16"):
            ServeConfig(token=token)
    assert TOKEN not in repr(ServeConfig(token=TOKEN))


ROUTES = [
    ("GET", "/"),
    ("GET", "/api/videos"),
    ("POST", "/api/search"),
    ("POST", "/api/uploads"),
    ("GET", "/api/indexing/events"),
    ("GET", f"/api/videos/{'0' * 32}/media"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/embeddings"),
    ("DELETE", f"/api/videos/{'0' * 32}"),
    ("GET", "/no/such/route"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong-token-of-some-length", "Basic x"])
def test_no_route_answers_without_the_token(library, tmp_path, method, path, given) -> None:
    # a server each: guesses are counted
    app = _refusing(tmp_path)
    status, headers, body = app(method, path, {"authorization": given} if given else {})
    if path == "/" and not given:
        assert status == 303 and headers["location"] == "/login"
    else:
        assert status == 401 and headers["www-authenticate"] == "Bearer"
        assert b"a token is needed" in body


def _refusing(_folder):
    """The guard alone, around an app that must not be reached."""
    import asyncio

    from kinoscope.server.guard import Guard

    async def reached(scope, receive, send):
        raise AssertionError("reached")

    guard = Guard(reached, ServeConfig(host="0.0.0.0", token=TOKEN))

    def call(method, path, headers):
        sent = []

        async def run():
            async def receive():
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message):
                sent.append(message)

            named = {"host": "127.0.0.1:8000", **headers}
            scope = {
                "type": "http",
                "method": method,
                "path": path,
                "headers": [(k.encode(), v.encode()) for k, v in named.items()],
                "query_string": b"",
                "client": ("10.0.0.9", 5),
                "scheme": "http",
                "http_version": "1.1",
            }
            await guard(scope, receive, send)

        asyncio.run(run())
        start = sent[0]
        found = {k.decode().lower(): v.decode() for k, v in start["headers"]}
        return start["status"], found, b"".join(m.get("body", b"") for m in sent[1:])

    return call


def test_the_token_opens_as_a_header_and_as_a_session(guarded) -> None:
    assert guarded.get("/api/videos", headers=BEARER).status_code == 200
    session = {"Cookie": f"{COOKIE}={session_of(TOKEN)}"}
    assert guarded.get("/api/videos", headers=session).status_code == 200
    assert guarded.get("/api/videos", headers={"Cookie": f"{COOKIE}={TOKEN}"}).status_code == 401
    assert guarded.get("/health").json() == {
        "status": "ok", "version": "0.1.0", "model": None, "videos": None, "clips": None,
        "trouble": "",
    }  # fmt: skip


def test_guesses_are_slowed_down(library, tmp_path) -> None:
    with served(library[1], tmp_path, host="0.0.0.0", token=TOKEN) as client:
        wrong = {"Authorization": "Bearer " + "x" * 20}
        told = [client.get("/api/videos", headers=wrong).status_code for _ in range(20)]
        assert told[0] == 401 and told[-1] == 429
        assert client.get("/api/videos", headers=BEARER).status_code == 200, "who knows it may ask"


@pytest.mark.parametrize(
    ("host", "local", "known"),
    [
        ("127.0.0.1:8000", True, True),
        ("localhost", True, True),
        ("[::1]:8000", True, True),
        ("evil.example", True, False),
        ("127.0.0.1.evil.example", True, False),
        ("localhost.evil.example:8000", True, False),
        ("192.168.1.5", True, False),
        ("", True, False),
        ("localhost@evil.example", True, False),
        ("localhost:port", True, False),
        ("[", True, False),
        ("192.168.1.5:8000", False, True),
        ("videos.example", False, True),
        ("evil.example", False, False),
        ("videos.example.evil", False, False),
    ],
)
def test_only_its_own_names_are_answered(client, guarded, host, local, known) -> None:
    asking = client if local else guarded
    answer = asking.get("/health", headers={"Host": host})
    assert answer.status_code == (200 if known else 421)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8000"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_pages_of_other_sites_change_nothing(client, headers, allowed) -> None:
    answer = client.post("/api/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    assert "access-control-allow-origin" not in answer.headers
    preflight = client.options("/api/search", headers={**headers, "Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in preflight.headers


def test_every_answer_has_safe_headers(client) -> None:
    for path in ("/health", "/no/such", "/api/videos", "/openapi.json"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_too_many_requests_of_one_address_are_told_to_wait(library, tmp_path) -> None:
    limits = ServeLimits(rate_per_s=0.5, burst=5)
    with served(library[1], tmp_path, limits=limits) as client:
        answers = [client.get("/health") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert int(answers[-1].headers["Retry-After"]) >= 1


@given(st.lists(st.sampled_from("ab"), max_size=60))
def test_a_bucket_gives_as_much_as_it_holds(asked) -> None:
    rates = Rates(1e-9, 5)
    for address in "ab":
        given_ = [rates.wait_s(address) == 0.0 for one in asked if one == address]
        assert given_ == [n < 5 for n in range(len(given_))]


def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    rates = Rates(1.0, 1)
    for number in range(10_000):
        rates.wait_s(str(number))
    assert len(rates._buckets) <= 4096


def test_large_bodies_are_refused_before_they_are_read(client) -> None:
    for path, kind in (("/api/search", "application/json"), ("/api/moments", "text/plain")):
        answer = client.post(path, content=b"x" * (2**20 + 1), headers={"Content-Type": kind})
        assert answer.status_code == 413
    declared = {"Content-Length": "99999999999", "Content-Type": "application/json"}
    assert client.post("/api/search", content=b"{}", headers=declared).status_code == 413


def test_a_body_that_goes_on_and_on_is_cut_off(client) -> None:
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 2**16
            yield b" " * 2**16

    answer = client.post(
        "/api/search", content=(piece for _, piece in zip(range(100), endless(), strict=False))
    )
    assert answer.status_code == 413


def test_a_fault_of_ours_shows_no_trace(client, monkeypatch) -> None:
    from kinoscope.server import api

    def broken(*_arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api, "find", broken)
    answer = client.post("/api/search", json={"text": "red"})
    assert answer.status_code == 500 and "secret" not in answer.text and "Trace" not in answer.text
    assert message(answer).startswith("a fault of the server")


def test_over_a_socket_it_starts_refuses_nonsense_and_ends_in_order(library, tmp_path) -> None:
    paths = ("/../../etc/passwd", "/static/../../x", "/static/..%2f..%2fapp.py", "/static/page.py")
    with running(library[1], tmp_path) as address:
        for path in (*paths, "/api/videos/..%2f..%2fetc%2fpasswd/media"):
            asking = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
            asking.putrequest("GET", path)
            asking.endheaders()
            answer = asking.getresponse()
            assert answer.status in (400, 404, 422) and b"root:" not in answer.read()
            asking.close()


def test_a_wrong_method_is_told_the_right_ones(client) -> None:
    for path, allowed in (("/api/videos", "GET, POST"), ("/api/indexing", "DELETE, GET")):
        answer = client.put(path)
        assert answer.status_code == 405 and answer.headers["allow"] == allowed
        assert message(answer) == "Method Not Allowed"
