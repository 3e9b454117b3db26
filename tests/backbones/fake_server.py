"""An embeddings server on this machine that answers as vLLM does, from a local tiny model.

It decodes pictures from data URLs with Pillow, renders the messages as they came with the model's
own chat template, reads times as vLLM's loader of picture rows does, and pools the last token. What
it does wrong is switched on by `fault`, `pooling` and the other fields.
"""

import base64
import io
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from kinoscope import libraries
from kinoscope.backbones.family import Prompt
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.qwen_vl import Qwen3VL
from kinoscope.types import Features

MAX_MODEL_LEN = 4096
MOST_FRAMES = 32


class BadRequest(Exception):
    """Status and reason of a refusal."""


@dataclass
class Fake:
    """How the server behaves, and what it was asked.

    Attributes:
        names: of the models that it lists; None: it has no list.
        chat: whether it takes messages.
        media: what they may hold, besides text.
        moved_to: where its list of models lies now.
        base64: `yes`, `ignored` (floats come instead) or `refused`.
        times: `read` from `media_io_kwargs`, or `ignored`, so that frames are 1 s apart.
        tokenize: whether it counts tokens.
        key: what it wants as a bearer token.
        pooling: `last`, `before norm` or `after eos`.
        fault: what goes wrong with embeddings, see `_spoil` and `_misbehave`.
        faults_left: so many times; then all is well.
        asked: path, headers and body of every request.
        together: answers wait until so many requests were under way at a time.
        busiest: most requests at a time.
    """

    backbone: MLLM
    names: tuple[str, ...] | None = ("tiny",)
    chat: bool = True
    media: tuple[str, ...] = ("image", "video")
    moved_to: str | None = None
    base64: str = "yes"
    times: str = "read"
    tokenize: bool = True
    key: str | None = None
    pooling: str = "last"
    fault: str = ""
    faults_left: int = 10**6
    retry_after: str | None = None
    url: str = ""
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    together: int = 0
    busiest: int = 0
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def bodies(self) -> list[dict[str, Any]]:
        """Of the requests for embeddings, in order of arrival."""
        return [body for path, _, body in self.asked if path.endswith("/embeddings")]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around the work on a request: before its answer, after which the client sends another."""
        with self.lock:
            self.under_way += 1
            self.busiest = max(self.busiest, self.under_way)
        for _ in range(500):  # 5 s: then a client that asks one by one is answered all the same
            if self.busiest >= self.together or self.closing.wait(0.01):
                break
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def next_fault(self) -> str:
        """The fault of this request."""
        with self.lock:
            self.faults_left -= bool(self.fault)
            return self.fault if self.faults_left >= 0 else ""


@contextmanager
def serving(backbone: MLLM, **behaviour: Any) -> Iterator[Fake]:
    """A running server; `url` is its address."""
    fake = Fake(backbone, **behaviour)
    handler = type("Handler", (_Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            fake.closing.set()
            server.shutdown()
            thread.join()


class Served(Qwen3VL):
    """The model's processor with its own bounds, and prompts as a request wants them.

    Like vLLM it replaces the start and the end that the chat template writes around a video.
    """

    metadata_of_request: dict[str, Any]
    generation_prompt: bool
    eos: bool

    def render(self, prompt: Prompt) -> str:
        text = self.processor.apply_chat_template(
            prompt.messages, add_generation_prompt=self.generation_prompt, tokenize=False
        )
        text = text.replace("<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>")
        return text + (self.processor.tokenizer.eos_token if self.eos else "")

    def video(self, prompt: Prompt) -> np.ndarray:
        assert len(prompt.frames_FHWC) > 1, "t:1 must be larger than temporal_factor:2"
        return prompt.frames_FHWC

    def metadata(self, prompt: Prompt) -> Any:
        from transformers.video_utils import VideoMetadata

        return VideoMetadata(**self.metadata_of_request)


class _Handler(BaseHTTPRequestHandler):
    fake: Fake

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        fake = self.fake
        with fake.lock:
            fake.asked.append((self.path, dict(self.headers), body))
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
                self._route(body)
        except BadRequest as refusal:
            status, reason = refusal.args
            self._send(status, {"error": {"message": reason, "type": "BadRequest"}})

    def _route(self, body: Any) -> None:
        fake = self.fake
        if fake.key is not None and self.headers["Authorization"] != f"Bearer {fake.key}":
            self._send(401, {"error": f"Unauthorized: {self.headers['Authorization']}"})
        elif self.path == "/v1/models" and fake.moved_to is not None:
            self._send(302, b"", Location=f"{fake.moved_to}/v1/models")
        elif self.path == "/v1/models" and fake.names is not None:
            self._send(200, {"object": "list", "data": [_card(name) for name in fake.names]})
        elif self.path == "/tokenize" and fake.tokenize:
            ids = _tokenizer(fake)(body["prompt"], add_special_tokens=False)["input_ids"]
            self._send(200, {"count": len(ids), "max_model_len": MAX_MODEL_LEN, "tokens": ids})
        elif self.path == "/v1/embeddings":
            self._embeddings(body)
        else:
            self._send(404, {"detail": "Not Found"})

    def _embeddings(self, body: Any) -> None:
        fault = self.fake.next_fault()
        if fault in _MISBEHAVIOUR:
            _MISBEHAVIOUR[fault](self)
            return
        with self.fake.counted():
            vectors = _embed(self.fake, body)
        rows = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
        rows = _spoil(fault, rows)
        if self.fake.base64 == "yes" and body["encoding_format"] == "base64":
            rows = [{**row, "embedding": _packed(row["embedding"])} for row in rows]
        else:
            rows = [{**row, "embedding": np.asarray(row["embedding"]).tolist()} for row in rows]
        self._send(200, {"object": "list", "model": body["model"], "data": rows})

    def _send(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("length", str(len(data))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _busy(self) -> None:
        after = self.fake.retry_after
        named = {} if after is None else {"Retry_After": after}
        self._send(429, {"error": {"message": "too many requests"}}, **named)

    def _slow(self) -> None:
        self.fake.closing.wait(5)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.fake.closing.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _reset(self) -> None:
        """Breaks off without an answer, as a killed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _huge(self) -> None:
        self._send(200, b" " * 2**20)


_MISBEHAVIOUR = {
    "busy": _Handler._busy,
    "slow": _Handler._slow,
    "drip": _Handler._drip,
    "reset": _Handler._reset,
    "huge": _Handler._huge,
    "fails": lambda handler: handler._send(500, {"error": {"message": "CUDA out of memory"}}),
    "truncated": lambda handler: handler._send(200, b'{"data": [', length="1000"),
    "not json": lambda handler: handler._send(200, b"<html>Welcome</html>"),
    "redirect": lambda handler: handler._send(
        307, b"", Location="http://elsewhere.example/v1/embeddings?token=secret"
    ),
}


def _spoil(fault: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an answer that looks well and is not."""
    first = np.array(rows[0]["embedding"])
    changed = {
        "nan": np.where(np.arange(len(first)) == 3, np.nan, first),
        "zero": 0 * first,
        "short": first[:-1],
        "many": np.stack([first, first]),
        "words": np.array(["no", "numbers"]),
    }
    if fault in changed:
        rows[0]["embedding"] = changed[fault]
    if fault == "reversed":
        return rows[::-1]  # the right numbers, in another order
    if fault == "few":
        return rows[1:]
    if fault == "numbers":
        return [{**row, "index": 0} for row in rows[:-1]] + [{**rows[-1], "index": 7}]
    return rows


def _packed(vector: np.ndarray) -> Any:
    if vector.dtype.kind != "f" or vector.ndim != 1:
        return vector.tolist()
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _card(name: str) -> dict[str, Any]:
    """vLLM gives the present as the time of creation."""
    created = time.time_ns()
    root = f"org/{name}"
    return {"id": name, "created": created, "root": root, "max_model_len": MAX_MODEL_LEN}


def _embed(fake: Fake, body: Any) -> list[np.ndarray]:
    """Unit vectors of one request, or `BadRequest`."""
    if fake.names is not None and body["model"] not in fake.names:
        raise BadRequest(404, f"The model `{body['model']}` does not exist.")
    if body["encoding_format"] == "base64" and fake.base64 == "refused":
        raise BadRequest(422, "encoding_format: only float")
    if "input" in body:
        processor = fake.backbone.checkpoint.family.processor
        texts = [processor(text=[text], return_tensors="pt") for text in body["input"]]
        return [_pooled(fake, inputs) for inputs in texts]
    if not fake.chat:
        raise BadRequest(400, "Field required: input")
    return [_chat(fake, body)]


def _chat(fake: Fake, body: Any) -> np.ndarray:
    frames: list[np.ndarray] = []
    still = False
    messages = []
    for message in body["messages"]:
        parts = []
        for part in message["content"]:
            kind = part["type"].removesuffix("_url")
            if kind != "text":
                if kind not in fake.media:
                    raise BadRequest(400, f"tiny takes at most 0 {kind}(s)")
                frames, still = _decoded(part[f"{kind}_url"]["url"], body), kind == "image"
                part = {"type": kind}
            parts.append(part)
        messages.append({**message, "content": parts})
    clip = Features(np.stack(frames), np.arange(len(frames), dtype=float)) if frames else None
    own = fake.backbone.checkpoint.family
    served = Served(own.processor, None)
    served.generation_prompt = body.get("add_generation_prompt", False)
    served.eos = fake.pooling == "after eos"
    served.metadata_of_request = _metadata(fake, body, len(frames))
    return _pooled(fake, served.inputs(Prompt(messages=messages, clip=clip, still=still)))


def _decoded(url: str, body: Any) -> list[np.ndarray]:
    """Pictures of a data URL, no more than the server reads."""
    head, _, data = url.partition(",")
    assert head in ("data:image/png;base64", "data:video/jpeg;base64"), head
    wanted = body.get("media_io_kwargs", {}).get("video", {}).get("num_frames", MOST_FRAMES)
    parts = data.split(",")[: min(wanted, MOST_FRAMES)]
    opened = [Image.open(io.BytesIO(base64.b64decode(part, validate=True))) for part in parts]
    return [np.asarray(picture.convert("RGB")) for picture in opened]


def _metadata(fake: Fake, body: Any, count: int) -> dict[str, Any]:
    """Of a row of pictures, with the checks of vLLM's loader."""
    given = body.get("media_io_kwargs", {}).get("video", {}) if fake.times == "read" else {}
    indices = given.get("frames_indices", list(range(count)))
    total = given.get("total_num_frames", count)
    if len(indices) != count or total < count:
        raise BadRequest(400, f"frames_indices length ({len(indices)}) must match ({count})")
    return {"total_num_frames": total, "fps": given.get("fps", 1.0), "frames_indices": indices}


def _pooled(fake: Fake, inputs: Any) -> np.ndarray:
    """The last token's state, of unit length."""
    length = inputs["input_ids"].shape[1]
    if length > MAX_MODEL_LEN:
        raise BadRequest(
            400, f"maximum context length is {MAX_MODEL_LEN} tokens, you asked {length}"
        )
    backbone = fake.backbone
    seen: list[Any] = []
    norm = backbone.checkpoint.model.model.language_model.norm
    with fake.lock, libraries.torch().inference_mode():
        handle = norm.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
        states_1TD = backbone.hidden(dict(inputs))
        handle.remove()
    chosen = seen[0] if fake.pooling == "before norm" else states_1TD
    vector_D = chosen[0, -1].float().numpy()
    return vector_D / np.linalg.norm(vector_D)


def _tokenizer(fake: Fake) -> Any:
    return fake.backbone.checkpoint.family.processor.tokenizer
