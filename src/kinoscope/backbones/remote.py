"""A model behind the OpenAI embeddings interface, as vLLM serves it: `vllm serve MODEL`.

    vllm serve Qwen/Qwen3-VL-8B-Instruct --runner pooling --convert embed
    Embedder.load("http://127.0.0.1:8000/v1#Qwen/Qwen3-VL-8B-Instruct")

What happens there is the server's own: weights, precision, chat template, processor, pooling.
`parity` tells whether it does what a local model does. Things to know of vLLM:

* Only `messages` go through the model's chat template; a plain `input` does not. So texts are
  messages too, like pictures and videos, one conversation a request, several requests at a time.
  A server that refuses messages reads texts only, many a request, without a chat template.
* A video is a row of lossless pictures, `data:video/jpeg;base64,PNG,PNG,...`: whatever Pillow opens
  may stand there. Their times go into `media_io_kwargs`, which vLLM reads since April 2026. Before,
  frames count as 1 s apart, or have no times at all, and a model that writes times into the prompt,
  such as Qwen3-VL, misreads or refuses them.
* A server reads at most 32 frames of a video, or what its `--media-io-kwargs` allows; more are an
  error where times are read, and lost without a word before.
* Frames are sent as they are. The sampling's `max_pixels` bounds them on this side, the model's own
  processor on the other.
* A chat template that takes content as a mere string has media moved to its front.
"""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from kinoscope.backbones.http_json import KEY, HttpOptions, Rejected, Server
from kinoscope.backbones.openai_wire import bare_text, conversation, prompt_of, read_embeddings
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.prompts import ONE_WORD, Template, prompts_hash, template_named
from kinoscope.types import Content, Features, Float32, Frames, Kind, States

TEXTS_AT_ONCE = 64
"""In one request, where a request may have several."""

_NO_BOUND = 2**31 - 1  # tokens, where the server names no bound: it refuses what is too long
_FORMS = tuple((chat, encoding) for chat in (True, False) for encoding in ("base64", "float"))


@dataclass(frozen=True, kw_only=True)
class Service:
    """One model of a server, and how it wants to be asked.

    Attributes:
        server: where.
        name: the model's, as the server lists it.
        weights: name and root, for the spec.
        template: prompts, before the server's chat template.
        max_tokens: longest prompt.
        by_messages: whether it takes conversations; else bare texts.
        encoding: `base64` or `float`.
        dimension: D; None before the first answer.
        kinds: what it read when it was tried.
    """

    server: Server
    name: str
    weights: str
    template: Template
    max_tokens: int
    by_messages: bool = True
    encoding: str = "base64"
    dimension: int | None = None
    kinds: frozenset[Kind] = frozenset({"text"})


def is_remote(model: str) -> bool:
    """Whether a model's name is a server's address."""
    return model.lower().startswith(("http://", "https://"))


def load_remote(
    model: str, options: LoadOptions | None = None, http: HttpOptions | None = None
) -> "RemoteBackbone":
    """The backbone of a server's model, after a few requests that learn what it can.

    Args:
        model: `http://host:port/v1#NAME`; without NAME the only model that the server lists.
        options: only `template` applies; the rest is decided where the server is started.
        http: patience and parallelism.

    The key comes from the environment variable `KINOSCOPE_API_KEY`, never from the address.
    Raises `UsageError` for a wrong address, name or option, or a model that refuses texts;
    `SetupError` if the server is absent, refuses the key or answers wrongly.
    """
    options = options or LoadOptions()
    for field in fields(LoadOptions):
        applies = field.name in ("template", "offline")
        if not applies and getattr(options, field.name) != field.default:
            raise UsageError(f"{field.name} of a remote model: set it where the server is started")
    address, name = _address(model)
    server = Server(address, http or HttpOptions())
    card = _card(server, name)
    length = card.get("max_model_len")
    origin = [f"{key} {card[key]}" for key in ("root", "parent") if card.get(key)]
    service = Service(
        server=server,
        name=str(card["id"]),
        weights=" ".join(["remote", str(card["id"]), *origin]),
        template=ONE_WORD if options.template is None else template_named(options.template),
        max_tokens=length if isinstance(length, int) and length > 0 else _NO_BOUND,
    )
    return RemoteBackbone(_tried(service))


class RemoteBackbone:
    """A served model behind the `Backbone` protocol; the server pools, to one state a row.

    Over HTTP nobody can verify weights. The spec says what the server lists, `remote NAME root
    ROOT`; a server that is started with others under the same names keeps its spec. The date of a
    listing is left out: vLLM answers with the present time.
    """

    centre_D: Float32 | None = None
    head = "last"

    def __init__(self, service: Service) -> None:
        """Use `load_remote`."""
        self._service = service

    @property
    def model(self) -> str:
        """Address and name."""
        return f"{self._service.server.address}/v1#{self._service.name}"

    @property
    def weights(self) -> str:
        """What the server says they are."""
        return self._service.weights

    @property
    def prompts(self) -> str:
        """SHA-256 of the template, and whether the server's chat template comes around it."""
        form = "messages" if self._service.by_messages else "input"
        return f"{prompts_hash(*map(str, astuple(self._service.template)))} {form}"

    @property
    def dimension(self) -> int:
        """Of the vectors that the server answers with."""
        assert self._service.dimension is not None, "a service that was never tried"
        return self._service.dimension

    @property
    def kinds(self) -> frozenset[Kind]:
        """What the server read when it was loaded."""
        return self._service.kinds

    @property
    def limits(self) -> tuple[str, ...]:
        """What the form of its interface rules out."""
        if self._service.by_messages:
            return ()
        return ("the server takes no messages: texts only, without the model's chat template",)

    @property
    def max_tokens(self) -> int:
        """Longest prompt, if the server lists it; what is too long is refused, not cut."""
        return self._service.max_tokens

    def count_tokens(self, text: str) -> int:
        """Length by the server's `/tokenize`; without one its bytes, which tokens never exceed."""
        body = {"model": self._service.name, "prompt": text, "add_special_tokens": False}
        try:
            answer = self._service.server.post("/tokenize", body)
        except Rejected:
            answer = None
        count = answer.get("count") if isinstance(answer, dict) else None
        return count if isinstance(count, int) else len(text.encode())

    def vision(self, frames: Frames) -> Features:
        """The pixels themselves [F, H, W, 3]."""
        return Features(frames.rgb_FHWC, frames.times_F)

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """The server's vector of each row [B, 1, D], in order; several requests at a time.

        Raises `UsageError` with the server's reason where it refuses a row, `SetupError` where it
        fails or answers wrongly: no row is ever made up.
        """
        service, rows = self._service, list(range(len(contents)))
        size = 1 if service.by_messages else TEXTS_AT_ONCE
        groups = [rows[first : first + size] for first in range(0, len(rows), size)]
        pool = ThreadPoolExecutor(service.server.options.parallel)
        try:
            asked = [pool.submit(_vectors, service, [contents[n] for n in g]) for g in groups]
            for group, answer in zip(groups, asked, strict=True):
                states_B1D = answer.result()[:, None]
                yield group, States(states_B1D, np.ones((len(group), 1), np.bool_))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class Encoder(Protocol):
    """What `parity` needs of an `Embedder`."""

    @property
    def backbone(self) -> Any:
        """The model inside."""

    def encode_query(self, inputs: Any) -> Float32:
        """Unit vector [D] of a query."""

    def encode_document(self, inputs: Any) -> Float32:
        """Unit vector [D] of a document."""


def parity(remote: Encoder, local: Encoder) -> float:
    """The least cosine between two embedders' vectors of the same made inputs of every kind.

    Above 0.9999 where both compute in float32, a little less where one has fewer bits. Clearly less
    is another prompt, pooling or processor, or lost times; states before the final norm instead of
    after it, or one more token at the end, may still give 0.93. See `parity_by_kind`.
    """
    return min(parity_by_kind(remote, local).values())


def parity_by_kind(remote: Encoder, local: Encoder) -> dict[Kind, float]:
    """The least cosine of each kind that both embedders read, which shows where they part.

    Raises `UsageError` for vectors of different lengths.
    """
    shared = remote.backbone.kinds & local.backbone.kinds
    found: dict[Kind, float] = {}
    for kind, probe in _probes():
        for role in ("encode_query", "encode_document") if kind in shared else ():
            one_D, other_D = getattr(remote, role)(probe), getattr(local, role)(probe)
            if one_D.shape != other_D.shape:
                raise UsageError(
                    f"vectors of {len(one_D)} and {len(other_D)} components: load the same model"
                )
            found[kind] = min(found.get(kind, 1.0), float(one_D @ other_D))
    return found


def _probes() -> list[tuple[Kind, Any]]:
    """Documents of every kind; one video is even and one is not, so that lost times show."""
    clip = _pattern(4, 128, 160)
    uneven = Frames(clip.rgb_FHWC, np.array([0.0, 0.3, 2.1, 2.4]))
    still = clip.take([0])
    return [
        ("text", {"text": "a red ball rolls from left to right"}),
        ("text", {"text": "Zwei Hunde spielen im Schnee, 二匹の犬. " * 12}),
        ("image", {"image": still}),
        ("video", {"video": clip}),
        ("video", {"video": uneven}),
        ("composed", {"video": clip, "text": "at night"}),
        ("composed", {"image": still, "text": "at night"}),
    ]


def _pattern(count: int, height: int, width: int) -> Frames:
    """A bright square crosses a slope of grey, two frames a second."""
    slope_HW = np.linspace(0, 120, height)[:, None] + np.linspace(0, 60, width)[None]
    rgb_FHWC = np.repeat(np.stack([slope_HW] * count)[..., None], 3, axis=3).astype(np.uint8)
    side = height // 4
    for frame, rgb_HWC in enumerate(rgb_FHWC):
        left = frame * (width - side) // count
        rgb_HWC[side : 2 * side, left : left + side] = (250, 60, 40)
    return Frames(rgb_FHWC, 0.5 * np.arange(count, dtype=np.float64))


def _address(model: str) -> tuple[str, str | None]:
    """`http://host:1/v1#NAME` -> `http://host:1`, `NAME`; no message repeats a secret."""
    url, _, name = model.partition("#")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("the server's address is malformed: give http://host:port/v1") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise UsageError(f"the server's address holds credentials or a query: set {KEY} instead")
    if not re.fullmatch(r"[\w.:-]+", host) or not re.fullmatch(r"[\w./~%-]*", parts.path):
        raise UsageError(f"{url!r} is no server's address: give http://host:port/v1")
    place = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{path}", name or None


def _card(server: Server, name: str | None) -> dict[str, Any]:
    """What `/v1/models` says of the model; `UsageError`, naming those served, for another."""
    try:
        listed = server.get("/v1/models")
    except Rejected:
        if name is None:
            raise UsageError(f"{server.address} lists no models: add #NAME") from None
        return {"id": name}
    data = listed.get("data") if isinstance(listed, dict) else None
    cards = [card for card in data if isinstance(card, dict)] if isinstance(data, list) else []
    known = {str(card.get("id")): card for card in cards}
    names = ", ".join(sorted(known)) or "nothing"
    if name is None and len(known) != 1:
        raise UsageError(f"{server.address} serves {names}: choose one, as #NAME")
    if name is not None and name not in known:
        raise UsageError(f"{server.address} serves {names}, not {name}: choose one, as #NAME")
    return known[next(iter(known)) if name is None else name]


def _tried(service: Service) -> Service:
    """The first form in which the server takes a text, and the kinds that it takes in that form.

    An answer of floats to a request for base64 is understood too; `float` is for servers that
    refuse the other word.
    """
    refusals = []
    for chat, encoding in _FORMS:
        tried = replace(service, by_messages=chat, encoding=encoding)
        try:
            vectors_BD = _vectors(tried, [Content(text="a door opens")])
        except Rejected as refusal:
            refusals.append(refusal)
            continue
        tried = replace(tried, dimension=vectors_BD.shape[1])
        return replace(tried, kinds=_kinds(tried)) if chat else tried
    raise refusals[0]


def _kinds(service: Service) -> frozenset[Kind]:
    """Text, and of pictures and videos what the server takes."""
    found: set[Kind] = {"text"}
    frames = _pattern(4, 64, 64)
    clip = Features(frames.rgb_FHWC, frames.times_F)
    for content in (Content(clip=clip.take([0]), still=True), Content(clip=clip)):
        try:
            _vectors(service, [content])
        except Rejected:
            continue
        found |= {content.kind, "composed"}
    return frozenset(found)


def _vectors(service: Service, contents: Sequence[Content]) -> Float32:
    """The server's vectors [B, D] of one request."""
    body: dict[str, Any] = {"model": service.name, "encoding_format": service.encoding}
    if service.by_messages:
        (content,) = contents
        body |= conversation(prompt_of(service.template, content))
    else:
        body["input"] = [bare_text(service.template, content) for content in contents]
    answer = service.server.post("/v1/embeddings", body)
    return read_embeddings(answer, len(contents), service.dimension)
