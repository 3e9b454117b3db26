"""Thinking in a model's folder: rules in its settings, weights in a file that is read with care."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinoscope.backbones.checkpoint_files import (
    SETTINGS,
    THINKING,
    opened,
    read_json,
    shape_misfit,
)
from kinoscope.backbones.mini_folder import SETTINGS as MINI_SETTINGS
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.libraries import torch
from kinoscope.packages import sha256_of
from kinoscope.thinking.config import Thinking
from kinoscope.thinking.language_model import language_model

if TYPE_CHECKING:
    from kinoscope.thinking.thinker import Thinker

_ENTRY = "thinking"
_MOST = 2**16  # slots, heads, width
_COPY = "copy the whole folder again, or train it again"


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """The entry `thinking` of `kinoscope.json` or `mini.json`.

    Attributes:
        rules: of both sides, as `Thinking.as_dict` says them.
        pooling: name of the head; `kv-former` has `slots`, `heads` and `hidden`, else these are 0.
        halting: whether the decision to stop was learned.
        learned: SHA-256 of the weights; empty if there are none.
    """

    rules: dict[str, Any]
    pooling: str
    slots: int = 0
    heads: int = 0
    hidden: int = 0
    halting: bool = False
    learned: str = ""


def load_thinker(backbone: Backbone, thinking: "Thinking | str | None") -> "Thinker | None":
    """The steps of a model; None if it is to take none.

    Args:
        backbone: the model.
        thinking: rules, as values or in words, `none` for no steps; None takes those that were
            saved with the model, or no steps if there are none. What was learned is used in any
            case but that of no steps.

    Raises `UsageError` for a model that cannot think, and for saved files that are damaged.
    """
    if isinstance(thinking, str):
        thinking = Thinking.parse(thinking)
    if thinking is not None and not thinking:
        return None
    folder = backbone.checkpoint.folder if isinstance(backbone, MLLM) else None
    own = None if folder is None else load_learned(folder, backbone)
    if own is not None:
        return own if thinking is None else own.with_thinking(thinking)
    if thinking is None:
        return None
    from kinoscope.thinking.thinker import Thinker

    return Thinker(language_model(backbone), thinking)


def save_learned(thinker: "Thinker", folder: Path) -> None:
    """Adds thinking to a model's folder: `thinking.safetensors`, and an entry in its settings.

    Raises `UsageError` for weights that are not finite.
    """
    from kinoscope.thinking.kv_former import KVFormer
    from kinoscope.thinking.thinker import learned_bytes

    state = thinker.learned.state_dict()
    broken = [name for name, values in state.items() if not bool(values.isfinite().all())]
    if broken:
        raise UsageError(f"thinking has weights that are not finite ({broken[0]}): train it again")
    weights, pooling = learned_bytes(thinker), thinker.pooling
    sizes = {}
    if isinstance(pooling, KVFormer):
        sizes = {name: getattr(pooling, name) for name in ("slots", "heads", "hidden")}
    settings = _Settings(
        rules=thinker.thinking.as_dict(),
        pooling=pooling.name,
        halting=thinker.halting is not None,
        learned=hashlib.sha256(weights).hexdigest() if weights else "",
        **sizes,
    )
    if weights:
        (folder / THINKING).write_bytes(weights)
    name = _settings_name(folder)
    values = {**read_json(folder, name), _ENTRY: asdict(settings)}
    (folder / name).write_text(json.dumps(values, indent=1) + "\n")


def load_learned(folder: Path, backbone: Backbone) -> "Thinker | None":
    """The thinking of a model's folder; None if it has none.

    Raises `UsageError` for settings or weights that are absent, damaged or of another size, and for
    a model that was loaded in a way that cannot think.
    """
    place = folder / _settings_name(folder)
    entry = read_json(folder, place.name).get(_ENTRY)
    if entry is None:
        if (folder / THINKING).exists():
            raise UsageError(f"{place} says nothing of {THINKING} beside it: {_COPY}")
        return None
    settings = _checked(place, entry)
    try:
        rules = Thinking.from_dict(settings.rules)
    except UsageError as error:
        raise UsageError(f"{place}: {error}; {_COPY}") from None
    return _thinker(folder, place, settings, rules, language_model(backbone))


def _thinker(
    folder: Path, place: Path, settings: _Settings, rules: Thinking, backbone: MLLM
) -> "Thinker":
    """Built without weights first, so that nothing is made of a size that only a file claims."""
    torch()
    from kinoscope.thinking.halting import Halting
    from kinoscope.thinking.kv_former import KVFormer, Pooling, pooling_named
    from kinoscope.thinking.thinker import Thinker

    size = int(backbone.checkpoint.model.config.get_text_config().hidden_size)
    parts: dict[str, Any] = {}
    try:
        with torch().device("meta"):
            pooling: Pooling
            if settings.pooling == KVFormer.name:
                sizes = {name: getattr(settings, name) for name in ("slots", "heads", "hidden")}
                pooling = parts["kv_former"] = KVFormer(size, **sizes)
            else:
                pooling = pooling_named(settings.pooling)
            if settings.halting:
                parts["halting"] = Halting(size)
    except UsageError as error:
        raise UsageError(f"{place}: {error}; {_COPY}") from None
    learned = torch().nn.ModuleDict(parts)
    learned.load_state_dict(_read_weights(folder / THINKING, settings, learned), assign=True)
    return Thinker(backbone, rules, pooling, parts.get("halting"))


def _read_weights(path: Path, settings: _Settings, parts: Any) -> dict[str, Any]:
    wanted = {name: tuple(values.shape) for name, values in parts.state_dict().items()}
    if bool(wanted) != bool(settings.learned) or bool(wanted) != path.is_file():
        verb = "lacks" if wanted else "has"
        raise UsageError(f"{path.parent} {verb} {path.name}, against its settings: {_COPY}")
    if not wanted:
        return {}
    with opened(path) as stored:
        slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        fault = shape_misfit(shapes, wanted)
        other = sorted(name for name, part in slices.items() if part.get_dtype() != "F32")
        if fault or other:
            fault = fault or f"has weights that are not float32 ({other[0]})"
            raise UsageError(f"{path} does not fit its model: it {fault}; {_COPY}")
        state = {name: stored.get_tensor(name) for name in wanted}
    if sha256_of(path) != settings.learned:
        raise UsageError(f"{path} is not what was saved: {_COPY}")
    broken = [name for name, values in state.items() if not bool(values.isfinite().all())]
    if broken:
        raise UsageError(f"{path} has weights that are not finite ({broken[0]}): {_COPY}")
    return state


def _checked(place: Path, entry: object) -> _Settings:
    known = {field.name: field for field in fields(_Settings)}
    if not isinstance(entry, dict) or set(entry) != set(known):
        raise UsageError(f"{place}: thinking needs the fields {sorted(known)}; {_COPY}")
    kinds = {"rules": dict, "pooling": str, "learned": str, "halting": bool}
    for name, value in entry.items():
        counts = type(value) is int and 0 <= value <= _MOST
        if type(value) is not kinds[name] if name in kinds else not counts:
            raise UsageError(f"{place}: thinking has the {name} {value!r}; {_COPY}")
    return _Settings(**entry)


def _settings_name(folder: Path) -> str:
    """`mini.json` where there is one, else `kinoscope.json`."""
    return MINI_SETTINGS if (folder / MINI_SETTINGS).is_file() else SETTINGS
