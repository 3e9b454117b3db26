"""A checkpoint's folder that sentence-transformers saved: its prompts, pooling and options."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from kinoscope.backbones.checkpoint_files import SETTINGS, read_json
from kinoscope.backbones.family import Family, Prompt
from kinoscope.backbones.mllm import Checkpoint
from kinoscope.errors import UsageError
from kinoscope.prompts import Template

Pooling = Literal["last", "mean"]
Adapt = Callable[[Checkpoint], Checkpoint]

_MODULES = "modules.json"
_LIBRARY = "sentence_transformers."
_KINDS = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_POOLINGS: dict[str, Pooling] = {"lasttoken": "last", "mean": "mean"}
_OLD_POOLING = "pooling_mode_"  # pooling_mode_lasttoken, pooling_mode_mean_tokens: true or false
_READS = {"method": "forward", "method_output_name": "last_hidden_state", "format": "structured"}
_LIMITS = ("query_length", "document_length", "query_expansion")
_CHOICE_OF_FRAMES = ("do_sample_frames", "fps", "num_frames", "video_metadata")
_NOT_RENDERED = ("restore_suffix", "padding", "truncation", "max_length", "return_tensors")


def sentence_folder(folder: Path, *, keep_template: bool) -> Adapt:
    """What makes a checkpoint embed as `sentence_transformers.SentenceTransformer(folder)` does.

    Queries and documents get the folder's prompts of that name as system messages; where it knows
    none of that name, its default prompt. What is no such folder leaves the checkpoint as it is.

    Args:
        folder: of the checkpoint.
        keep_template: whether the checkpoint's template stands in spite of the folder's prompts.

    Raises `UsageError` for modules, poolings and options that cannot be had here.
    """
    modules = _modules(folder)
    if not modules:
        return lambda checkpoint: checkpoint
    _check_modules(folder, modules)
    pooling = _pooling(folder, read_json(folder, f"{modules[1]['path']}/config.json"))
    options = _options(folder)
    model = read_json(folder, "config_sentence_transformers.json")
    settings = read_json(folder, SETTINGS)

    def adapt(checkpoint: Checkpoint) -> Checkpoint:
        cut = model.get("truncate_dim")
        pooled = replace(checkpoint, pooling=pooling, truncate_dim=cut)
        if "chat_template" in settings:  # exported from here: ours without the prompts
            checkpoint.family.processor.chat_template = settings["chat_template"]
            return pooled
        if not checkpoint.family.needs_video_processor:
            raise UsageError(
                f"{folder} reads no video as sentence-transformers: load the checkpoint that it was"
                " made from"
            )
        family = _as_written(checkpoint.family, options)
        template = checkpoint.template if keep_template else _template(model)
        return replace(pooled, family=family, template=template)

    return adapt


def _modules(folder: Path) -> list[dict[str, Any]]:
    """The modules of a sentence-transformers model, none in another folder."""
    path = folder / _MODULES
    try:
        modules = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON: fetch the checkpoint again") from error
    told = ("type", "path")
    if not isinstance(modules, list) or not all(
        isinstance(module, dict) and all(isinstance(module.get(name), str) for name in told)
        for module in modules
    ):
        raise UsageError(f"{path} lists no modules: fetch the checkpoint again")
    return modules


def _check_modules(folder: Path, modules: list[dict[str, Any]]) -> None:
    foreign = [m["type"] for m in modules if not m["type"].startswith(_LIBRARY)]
    if foreign:
        raise UsageError(f"{folder} runs code of its own ({foreign[0]}): it is not loaded here")
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds not in _KINDS:
        raise UsageError(
            f"{folder} has the modules {', '.join(kinds)}: supported are Transformer, Pooling and"
            " Normalize"
        )
    if modules[0]["path"]:
        raise UsageError(
            f"{folder} keeps its checkpoint in {modules[0]['path']}: save it again with a present"
            " sentence-transformers, which keeps it in the folder itself"
        )


def _pooling(folder: Path, values: dict[str, Any]) -> Pooling:
    if not values:
        raise UsageError(f"{folder} lacks the settings of its Pooling: fetch the checkpoint again")
    mode = values.get("pooling_mode")
    if mode is None:
        old = [name for name, on in values.items() if name.startswith(_OLD_POOLING) and on]
        mode = [name.removeprefix(_OLD_POOLING).removesuffix("_tokens") for name in old] or "mean"
    modes = mode if isinstance(mode, list) else [mode]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise UsageError(
            f"{folder} pools by {' and '.join(map(str, modes))}: supported are"
            f" {' and '.join(_POOLINGS)}"
        )
    return _POOLINGS[modes[0]]


def _options(folder: Path) -> dict[str, dict[str, Any]]:
    """The `processing_kwargs` of a folder whose inputs go through its chat template."""
    values = read_json(folder, "sentence_bert_config.json")
    modalities = values.get("modality_config", {})
    reads = modalities.get("message")
    if reads is None:
        raise UsageError(
            f"{folder} reads {', '.join(modalities) or 'text'} without a chat template: save it"
            " again with one"
        )
    other = [name for name, value in _READS.items() if reads.get(name, value) != value]
    other += [name for name in _LIMITS if values.get(name) is not None]
    if values.get("transformer_task", "feature-extraction") != "feature-extraction":
        other.append("transformer_task")
    if other:
        raise UsageError(
            f"{folder} has another {other[0]} than models of one vector a text: it cannot be read"
        )
    options: dict[str, dict[str, Any]] = values.get("processing_kwargs", {})
    return options


def _template(model: dict[str, Any]) -> Template:
    """Bare content behind the folder's prompts: its chat template has all other words."""
    prompts = model.get("prompts") or {}
    default = prompts.get(model.get("default_prompt_name"))
    query, document = (prompts.get(role, default) or None for role in ("query", "document"))
    return Template(
        name="sentence-transformers",
        text="{text}",
        visual="{media}",
        composed="{media}{text}",
        query=query,
        document=document,
    )


class AsWritten(Family):
    """A family that renders and scales as its folder says, whatever the adapter knows better."""

    options: ClassVar[dict[str, dict[str, Any]]]

    def render(self, prompt: Prompt) -> str:
        """By the folder's chat template, with the folder's arguments."""
        told = self.options.get("chat_template", {})
        arguments = {name: value for name, value in told.items() if name not in _NOT_RENDERED}
        rendered: str = self.processor.apply_chat_template(
            prompt.messages, tokenize=False, **arguments
        )
        return rendered

    def image_options(self) -> dict[str, Any]:
        """The folder's."""
        return dict(self.options.get("image", {}))

    def video_options(self, prompt: Prompt) -> dict[str, Any]:
        """The folder's, but for the choice of frames: they are chosen already."""
        told = self.options.get("video", {}).items()
        chosen = {name: value for name, value in told if name not in _CHOICE_OF_FRAMES}
        return {**Family.video_options(self, prompt), **chosen}


def _as_written(family: Family, options: dict[str, dict[str, Any]]) -> Family:
    kind = type(family)
    written: Any = type(kind.__name__, (AsWritten, kind), {"options": options})
    made: Family = written(family.processor, None)
    return made
