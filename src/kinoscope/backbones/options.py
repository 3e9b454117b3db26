"""How a checkpoint is loaded: precision, place, attention, adapter, layer, prompts."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from kinoscope.errors import UsageError
from kinoscope.prompts import template_named

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Quantisation = Literal["8bit", "4bit"]
Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]
Side = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Options of a multimodal LLM; what is None comes from the checkpoint, or is the default.

    Attributes:
        dtype: of the weights; `auto` is float32 on a CPU, else what the checkpoint has.
        device_map: where the weights go, as Transformers reads it: `cpu`, `cuda:0`, `auto`; None
            takes the first GPU, or the CPU.
        quantisation: load the linear layers in `8bit` or `4bit` (needs a GPU and bitsandbytes).
        attention: the implementation; `auto` is the fastest that the model and this machine have
            without further packages, `flash_attention_2` needs its own and a GPU.
        adapter: a folder with a PEFT adapter (LoRA), merged into the weights when loaded; or with a
            tuned language model alone, laid over the checkpoint's.
        layer: states after so many decoder layers; -1 is the last, after the final norm. An
            earlier one is read before any norm, and spares the layers behind it.
        template: name of the prompts, `one word` or `instruction`; None takes the checkpoint's.
        padding_side: on which side shorter rows are padded; vectors do not depend on it.
        batch_tokens: most tokens of a batch, padding included: bounds memory.
        offline: never look for the checkpoint on the hub.
    """

    dtype: Precision = "auto"
    device_map: str | None = None
    quantisation: Quantisation | None = None
    attention: Attention = "auto"
    adapter: Path | None = None
    layer: int | None = None
    template: str | None = None
    padding_side: Side = "left"
    batch_tokens: int = 16_384
    offline: bool = False

    def __post_init__(self) -> None:
        choices: dict[str, Any] = {
            "dtype": Precision,
            "quantisation": Quantisation,
            "attention": Attention,
            "padding_side": Side,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in get_args(allowed) and not (value is None and name == "quantisation"):
                raise UsageError(f"{name} {value!r}: choose {', '.join(get_args(allowed))}")
        if self.template is not None:
            template_named(self.template)
        if self.batch_tokens < 1:
            raise UsageError(f"batch_tokens {self.batch_tokens}: give at least 1")

    @classmethod
    def from_strings(cls, values: dict[str, str]) -> "LoadOptions":
        """From `name=value` pairs of a command line; `UsageError` names an unknown one."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UsageError(f"option {unknown[0]!r} is unknown: choose {', '.join(sorted(known))}")
        return cls(**{name: _parsed(name, value) for name, value in values.items()})


def _parsed(name: str, value: str) -> Any:
    if name in ("layer", "batch_tokens"):
        try:
            return int(value)
        except ValueError:
            raise UsageError(f"{name} {value!r}: give a whole number") from None
    if name == "offline":
        return value.lower() in ("1", "true", "yes")
    return Path(value) if name == "adapter" else value
