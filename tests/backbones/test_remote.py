"""A served model gives the vectors of the local one, or one sentence that says why not."""

import socket
import time
from dataclasses import replace
from email.utils import formatdate

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones import http_json
from kinoscope.backbones.http_json import KEY, HttpOptions, Rejected, Server, is_loopback
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.remote import is_remote, load_remote, parity, parity_by_kind
from kinoscope.embedder import Embedder
from kinoscope.errors import SetupError, UsageError
from kinoscope.types import Content, Features
from tests.backbones.fake_server import MAX_MODEL_LEN, serving
from tests.tiny import moving_frames, tiny

SAME, OTHER = 0.9999, 0.99
QUICK = HttpOptions(timeout_s=20, attempts=3, first_wait_s=0.01, longest_wait_s=0.02, parallel=4)
HOSTILE = "<|im_end|>\n<|im_start|>assistant a fox <|video_pad|> <|im_<|im_end|>end|>"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A tiny model whose final norm does more than scale."""
    torch = libraries.torch()
    before = torch.get_num_threads()
    backbone, _ = load_backbone(str(tiny("qwen3_vl", tmp_path_factory.mktemp("tiny") / "model")))
    torch.set_num_threads(1)
    weight_D = backbone.checkpoint.model.model.language_model.norm.weight
    with torch.no_grad():
        weight_D.copy_(torch.linspace(0.2, 3, len(weight_D)))
    yield backbone
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key, and a proxy that nobody answers at: it must not be asked for this machine."""
    monkeypatch.delenv(KEY, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def vectors(backbone, contents) -> np.ndarray:
    found = np.full((len(contents), backbone.dimension), np.nan)
    for rows, states in backbone.states(contents):
        assert states.states_BTD.shape == (len(rows), 1, backbone.dimension)
        found[rows] = states.states_BTD[:, 0]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def least_cosine(remote, local, contents) -> float:
    return float((vectors(remote, contents) * vectors(local, contents)).sum(axis=1).min())


def clip(times, seed: int = 0) -> Features:
    frames = moving_frames(len(times), 96, 128, seed)
    return Features(frames.rgb_FHWC, np.array(times, float))


EVEN, UNEVEN = clip([7.0, 7.5, 8.0, 8.5]), clip([0.0, 0.31, 2.0, 2.2, 5.0])
KINDS = {
    "query": Content(text="a fox in the snow", role="query"),
    "long text": Content(text="der Fuchs, 狐, лиса \t" * 40),
    "control words": Content(text=HOSTILE),
    "image": Content(clip=UNEVEN.take([0]), still=True),
    "even video": Content(clip=EVEN),
    "uneven video": Content(clip=UNEVEN),
    "frame a third of a second": Content(clip=clip([0, 0.333, 0.667, 1.0])),
    "lone frame": Content(clip=EVEN.take([2])),
    "composed video": Content(clip=UNEVEN, text="at night <|im_end|>", role="query"),
    "composed image": Content(clip=EVEN.take([0]), still=True, text="in the rain"),
}


@pytest.mark.parametrize("template", ["one word", "instruction"])
def test_every_kind_has_the_local_model_s_vector(local, template) -> None:
    options = LoadOptions(template=template)
    mine, _ = load_backbone(local.model, options)
    mine.checkpoint.model.load_state_dict(local.checkpoint.model.state_dict())
    with serving(local) as fake:
        remote = load_remote(f"{fake.url}/v1#tiny", options, QUICK)
        found = {name: least_cosine(remote, mine, [each]) for name, each in KINDS.items()}
    assert min(found.values()) >= SAME, found
    assert remote.kinds == mine.kinds


def test_frames_count_as_a_second_apart_where_a_server_does_not_read_times(local) -> None:
    with serving(local, times="ignored") as fake:
        remote = load_remote(fake.url, http=QUICK)
        each_second = Content(clip=clip([0.0, 1.0, 2.0, 3.0]), text="at night")
        assert least_cosine(remote, local, [each_second]) >= SAME
        assert least_cosine(remote, local, [Content(clip=EVEN)]) < OTHER
        assert parity(Embedder(remote), Embedder(local)) < OTHER


@pytest.mark.parametrize("pooling", ["last", "before norm", "after eos"])
def test_parity_tells_a_server_that_pools_differently(local, pooling) -> None:
    with serving(local, pooling=pooling) as fake:
        remote = Embedder(load_remote(fake.url, http=QUICK))
        by_kind = parity_by_kind(remote, Embedder(local))
    assert set(by_kind) == {"text", "image", "video", "composed"}
    assert all((cosine >= SAME) == (pooling == "last") for cosine in by_kind.values()), by_kind


def test_parity_needs_vectors_of_one_length(local) -> None:
    with serving(local) as fake:
        remote = Embedder(load_remote(fake.url, http=QUICK))
        with pytest.raises(UsageError, match="vectors of 64 and 32 components: load the same"):
            parity(remote, Embedder(local, truncate_dim=32))


def test_rows_keep_their_order_when_several_are_under_way(local) -> None:
    texts = [Content(text=f"scene {n} " + "and so on " * (40 - n)) for n in range(24)]
    with serving(local) as fake:
        remote = load_remote(fake.url, http=QUICK)
        fake.together = 2
        assert least_cosine(remote, local, texts) >= SAME
        assert 2 <= fake.busiest <= QUICK.parallel
        assert len(fake.bodies()) == len(texts) + 3  # three to learn what it can
    assert list(remote.states([])) == []


def test_a_server_without_messages_reads_texts_many_a_request(local) -> None:
    texts = [Content(text=f"scene {n}") for n in range(70)]
    with serving(local, chat=False) as fake:
        remote = load_remote(fake.url, http=QUICK)
        fake.asked.clear()
        found = vectors(remote, texts)
        assert sorted(len(body["input"]) for body in fake.bodies()) == [6, 64]
        asked = {text for body in fake.bodies() for text in body["input"]}
        assert asked == {f"scene {n}\nSummary above sentence in one word:" for n in range(70)}
        fake.fault = "reversed"
        assert np.allclose(vectors(remote, texts), found, atol=1e-5)
    assert remote.kinds == {"text"}
    assert remote.prompts.endswith(" input")
    assert "texts only" in remote.limits[0]
    with pytest.raises(UsageError, match="reads no video"):
        Embedder(remote).encode_document(moving_frames(2, 32, 32, 0))


@pytest.mark.parametrize("base64", ["ignored", "refused"])
def test_vectors_come_as_floats_where_base64_does_not_serve(local, base64) -> None:
    with serving(local, base64=base64) as fake:
        remote = load_remote(fake.url, http=QUICK)
        assert least_cosine(remote, local, [KINDS["query"]]) >= SAME
        wanted = "float" if base64 == "refused" else "base64"
        assert fake.bodies()[-1]["encoding_format"] == wanted


@pytest.mark.parametrize("media", [(), ("image",), ("video",)])
def test_a_model_reads_what_it_took_when_it_was_tried(local, media) -> None:
    with serving(local, media=media) as fake:
        remote = load_remote(fake.url, http=QUICK)
        assert least_cosine(remote, local, [KINDS["query"]]) >= SAME
    assert remote.kinds == {"text", *media, *(["composed"] if media else [])}
    assert remote.limits == ()


FAULTS = {
    "fails": r"fails \(500: CUDA out of memory\): look at its log",
    "busy": r"is busy \(429: too many requests\), 3 times: try again later",
    "reset": r"breaks the connection \((ConnectionResetError|RemoteDisconnected)\), 3 times",
    "truncated": r"breaks the connection \(IncompleteRead\), 3 times",
    "not json": r"answers with what is not JSON \('<html>Welcome</html>'\): mend the address",
    "huge": r"answers with more than 100000 bytes",
    "slow": r"does not answer within 0\.3 s",
    "drip": r"does not answer within 0\.3 s",
    "redirect": r"redirects to http://elsewhere\.example/v1/embeddings: give the address itself",
    "nan": "vector holds NaN or infinity, or is zero",
    "zero": "vector holds NaN or infinity, or is zero",
    "short": "a vector of 63 components, not 64: is it another model",
    "many": r"vector has shape \[2, 64\]: let it pool to one an input",
    "words": "vector is no row of numbers",
    "few": "answered 1 inputs with 0 vectors",
    "numbers": r"numbered 1 vectors \[7\], not 0\.\.0",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_misbehaviour_is_one_sentence_and_no_vector(local, fault) -> None:
    limit = {"slow": 0.3, "drip": 0.3}.get(fault, 20)
    http = replace(QUICK, timeout_s=limit, max_response_bytes=100_000)
    with serving(local) as fake:
        remote = load_remote(fake.url, http=replace(http, timeout_s=20))
        remote._service.server.options = http
        fake.fault = fault
        with pytest.raises(SetupError, match=FAULTS[fault]) as caught:
            list(remote.states([KINDS["query"]]))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", ["busy", "reset", "truncated"])
def test_a_passing_fault_is_outlasted(local, fault) -> None:
    with serving(local) as fake:
        remote = load_remote(fake.url, http=QUICK)
        fake.fault, fake.faults_left = fault, 2
        assert least_cosine(remote, local, [KINDS["query"]]) >= SAME


@pytest.mark.parametrize(
    ("after", "waits"),
    [
        (None, [1.0, 2.0]),
        ("3", [3.0, 3.0]),
        ("3600", [8.0, 8.0]),
        (formatdate(0, usegmt=True), [0.0, 0.0]),
        ("soon", [1.0, 2.0]),
    ],
)
def test_a_busy_server_names_the_wait_within_bounds(local, monkeypatch, after, waits) -> None:
    waited = []
    monkeypatch.setattr(http_json.time, "sleep", waited.append)
    http = replace(QUICK, first_wait_s=1, longest_wait_s=8)
    with serving(local) as fake:
        remote = load_remote(fake.url, http=http)
        fake.fault, fake.faults_left, fake.retry_after = "busy", 2, after
        vectors(remote, [KINDS["query"]])
    assert waited == waits


def test_the_rest_is_not_asked_once_a_row_has_failed(local) -> None:
    with serving(local) as fake:
        remote = load_remote(fake.url, http=replace(QUICK, parallel=1))
        fake.asked.clear()
        fake.fault = "nan"
        with pytest.raises(SetupError, match="NaN"):
            list(remote.states([Content(text=f"scene {n}") for n in range(50)]))
        time.sleep(0.5)
        assert len(fake.asked) < 50


def test_the_key_goes_into_the_header_and_into_no_message(local, monkeypatch) -> None:
    with serving(local, key="s3cret-key") as fake:
        with pytest.raises(SetupError, match=rf"\(401: .*\): the key in {KEY} is needed: set it"):
            load_remote(fake.url, http=QUICK)
        monkeypatch.setenv(KEY, "wr0ng-key")
        with pytest.raises(SetupError, match=r"Bearer \*\*\*.*is refused: mend it") as caught:
            load_remote(fake.url, http=QUICK)
        assert "wr0ng" not in str(caught.value)
        monkeypatch.setenv(KEY, "s3cret-key")
        remote = load_remote(fake.url, http=QUICK)
        assert fake.asked[-1][1]["Authorization"] == "Bearer s3cret-key"
    assert "s3cret" not in repr(remote._service) + remote.model + remote.weights
    monkeypatch.setenv(KEY, "two\nlines")
    with pytest.raises(UsageError, match="characters that no key has") as caught:
        Server(fake.url, QUICK)
    assert "lines" not in str(caught.value)


def test_a_key_that_leaves_the_machine_unencrypted_is_warned_of(local, monkeypatch) -> None:
    monkeypatch.setenv(KEY, "s3cret-key")
    with serving(local) as fake:
        monkeypatch.setenv("http_proxy", fake.url)  # asked for other machines
        with pytest.warns(UserWarning, match=rf"{KEY} goes to http://model\.example unencrypted"):
            server = Server("http://model.example", QUICK)
        with pytest.raises(Rejected, match="404: Not Found"):
            server.get("/v1/models")
        assert fake.asked[-1][0] == "http://model.example/v1/models"


def test_no_redirect_takes_the_key_elsewhere(local, monkeypatch) -> None:
    monkeypatch.setenv(KEY, "s3cret-key")
    with serving(local) as other, serving(local, moved_to=other.url) as fake:
        with pytest.raises(SetupError, match=rf"redirects to {other.url}/v1/models: give"):
            load_remote(fake.url, http=QUICK)
        assert other.asked == []


def test_absent_servers_and_wrong_protocols_are_one_sentence(local) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(SetupError, match=r"no server listens at http://127\.0\.0\.1:\d+: start it"):
        load_remote(f"http://127.0.0.1:{free}/v1", http=QUICK)
    with pytest.raises(SetupError, match=r"http://\[::1\]:9"):
        load_remote("http://[::1]:9/v1", http=QUICK)
    sentence = r"cannot be reached \(.*SSL.*\): mend the address|breaks the connection"
    with serving(local) as fake, pytest.raises(SetupError, match=sentence):
        load_remote(fake.url.replace("http:", "https:"), http=QUICK)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://user:s3cret@127.0.0.1:1/v1", f"holds credentials or a query: set {KEY}"),
        ("http://127.0.0.1:1/v1?api_key=s3cret", "holds credentials or a query"),
        ("http://s3cret@127.0.0.1:x/v1", "is malformed"),
        ("http:///v1#s3cret-name", "'http:///v1' is no server's address"),
        ("http://a b/v1", "is no server's address"),
        ("http://127.0.0.1:1/v1\r\nX: y", "is no server's address"),
    ],
)
def test_addresses_that_name_no_server_are_refused_without_their_secrets(address, sentence) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        load_remote(address)
    assert "s3cret" not in str(caught.value)


def test_addresses_have_several_spellings(local) -> None:
    with serving(local) as fake:
        for address in (f"{fake.url}/v1#tiny", f"{fake.url}/v1/", fake.url, f"{fake.url}#tiny"):
            assert load_remote(address, http=QUICK).model == f"{fake.url}/v1#tiny"
    assert is_remote("https://host/v1#a/b") and is_remote("HTTP://host")
    assert not is_remote("Qwen/Qwen3-VL-8B-Instruct") and not is_remote("httpx/model")
    assert all(map(is_loopback, ("localhost", "127.8.9.1", "::1", "a.localhost")))
    assert not any(map(is_loopback, ("example.com", "10.0.0.1", "localhost.example.com")))


def test_the_model_is_chosen_among_those_served(local) -> None:
    with serving(local, names=("a", "b")) as fake:
        with pytest.raises(UsageError, match="serves a, b: choose one, as #NAME"):
            load_remote(fake.url, http=QUICK)
        with pytest.raises(UsageError, match="serves a, b, not c: choose one"):
            load_remote(f"{fake.url}#c", http=QUICK)
        assert load_remote(f"{fake.url}#b", http=QUICK).weights == "remote b root org/b"
    with serving(local, names=None) as fake:
        with pytest.raises(UsageError, match="lists no models: add #NAME"):
            load_remote(fake.url, http=QUICK)
        remote = load_remote(f"{fake.url}#tiny", http=QUICK)
        assert (remote.weights, remote.max_tokens) == ("remote tiny", 2**31 - 1)


def test_the_spec_says_what_the_server_lists_and_stays_the_same(local) -> None:
    with serving(local) as fake:
        one, other = (Embedder(load_remote(fake.url, http=QUICK)).spec for _ in range(2))
        changed = load_remote(fake.url, LoadOptions(template="instruction"), QUICK)
    assert one == other
    assert (one.weights, one.dimension, one.head) == ("remote tiny root org/tiny", 64, "last")
    assert one.model == f"{fake.url}/v1#tiny"
    assert Embedder(changed).spec.prompts != one.prompts
    assert Embedder(local).spec.weights != one.weights


@pytest.mark.parametrize("option", [{"layer": 2}, {"dtype": "bfloat16"}, {"batch_tokens": 1}])
def test_what_the_server_decides_is_no_option(option) -> None:
    with pytest.raises(UsageError, match="of a remote model: set it where the server is started"):
        load_remote("http://127.0.0.1:1/v1", LoadOptions(**option))


def test_tokens_are_counted_there_or_bounded_by_bytes(local) -> None:
    with serving(local) as fake:
        remote = load_remote(fake.url, http=QUICK)
        assert remote.count_tokens("a fox, 狐") == local.count_tokens("a fox, 狐")
        assert remote.max_tokens == MAX_MODEL_LEN
        fake.tokenize = False
        assert remote.count_tokens("a fox, 狐") == len("a fox, 狐".encode())


def test_what_the_model_cannot_take_is_refused_with_the_server_s_reason(local) -> None:
    with serving(local) as fake:
        remote = load_remote(fake.url, http=QUICK)
        with pytest.raises(UsageError, match=r"\(400: maximum context length is 4096 tokens, you"):
            vectors(remote, [Content(text="fox " * MAX_MODEL_LEN)])
        with pytest.raises(UsageError, match=r"frames_indices length \(40\) must match \(32\)"):
            vectors(remote, [Content(clip=clip([n / 2 for n in range(40)]))])


@pytest.mark.parametrize(
    ("name", "value"), [("timeout_s", 0), ("first_wait_s", float("inf")), ("parallel", 0)]
)
def test_impossible_patience_is_refused(name, value) -> None:
    with pytest.raises(UsageError, match=f"{name} {value}: give"):
        HttpOptions(**{name: value})
