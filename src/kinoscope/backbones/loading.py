"""A checkpoint's name to a backbone: family, precision, place, adapter, prompts, sampling."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.backbones import tarsier
from kinoscope.backbones.checkpoint_files import (
    SETTINGS,
    checkpoint_folder,
    file_hashes,
    misfit,
    read_json,
    reason,
    weight_files,
    weight_shapes,
)
from kinoscope.backbones.checkpoints import ADAPTER_SETTINGS, merge_adapter
from kinoscope.backbones.families import family_of, supported
from kinoscope.backbones.family import Family, load_processor
from kinoscope.backbones.mini_folder import NAME as MINI
from kinoscope.backbones.mini_folder import is_mini_folder, load_mini, shipped
from kinoscope.backbones.mllm import MLLM, Checkpoint, digest
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.protocol import Backbone
from kinoscope.backbones.qwen_vl import Qwen2VL
from kinoscope.backbones.remote import is_remote, load_remote
from kinoscope.backbones.sentence_folder import sentence_folder
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch, video_processors
from kinoscope.prompts import ONE_WORD, template_named
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content, Features

DEFAULT_SAMPLING = SamplingConfig(
    fps=2.0, min_frames=8, side_px=None, max_pixels=460_800, clip_frames=8
)
"""TARA's: 8 frames a clip, the first and the last included, of at most 460 800 pixels."""

_PROCESSOR_FILES = (
    ("tokenizer_config.json",),
    ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model"),
    ("preprocessor_config.json", "processor_config.json"),
)
"""Of each row one must be there."""


def load_any(
    model: str,
    options: LoadOptions | None = None,
    *,
    sampling: SamplingConfig | None = None,
    threads: int | None = None,
) -> tuple[Backbone, SamplingConfig]:
    """The backbone of a served model, `http://host:8000/v1#NAME`, a checkpoint, or `mini`."""
    if is_remote(model):
        return load_remote(model, options), sampling or DEFAULT_SAMPLING
    return load_backbone(model, options, sampling=sampling, threads=threads)


def load_backbone(
    model: str,
    options: LoadOptions | None = None,
    *,
    sampling: SamplingConfig | None = None,
    threads: int | None = None,
) -> tuple[MLLM, SamplingConfig]:
    """The backbone of a checkpoint's folder or hub name, and the sampling that it is used with.

    Args:
        model: the folder or name, or `mini`, the built-in one.
        options: precision, place, adapter, layer, prompts.
        sampling: in place of the one that the checkpoint was made for; it bounds pixels.
        threads: processors that PyTorch may use; all by default.

    Raises `UsageError`, naming what is supported, for a checkpoint that cannot embed video or
    options that do not fit this machine; `SetupError` if files or packages are absent.
    """
    options = options or LoadOptions()
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}: need at least one")
    folder = shipped() if model == MINI else checkpoint_folder(model, offline=options.offline)
    if is_mini_folder(folder):
        return load_mini(folder, options, sampling=sampling, threads=threads)
    family = checked_family(folder)
    adapt = sentence_folder(folder, keep_template=options.template is not None)
    library = video_processors()
    if threads is not None:
        torch().set_num_threads(threads)
    settings = read_json(folder, SETTINGS)
    sampling = sampling or _own_sampling(settings)
    _check_config(library, folder, family)
    processor = _processor(library, folder, family)
    network = load_network(library, folder, family, options, processor.tokenizer)
    made = family(processor, sampling.max_pixels)
    if options.adapter is not None:
        _adapt(network, made.decoder(network.model), Path(options.adapter), options)
    name = options.template or settings.get("template")
    checkpoint = Checkpoint(
        model=network.eval(),
        family=made,
        template=ONE_WORD if name is None else template_named(str(name)),
        layer=_own_layer(folder, settings) if options.layer is None else options.layer,
        name=model if model == str(folder) or not Path(model).is_dir() else str(folder),
        weights=_weights(folder, options, str(network.dtype).removeprefix("torch.")),
        folder=folder,
    )
    backbone = MLLM(adapt(checkpoint), options)
    _check_finite(backbone, folder, options)
    return backbone, sampling


def checked_family(folder: Path) -> type[Family]:
    """The adapter for a checkpoint, by its own config.

    Raises `UsageError`, naming what is supported, for any other.
    """
    config = read_json(folder, "config.json")
    if not config:
        raise UsageError(f"{folder} holds no config.json: it is no checkpoint of Transformers")
    if tarsier.is_tarsier(config) or _saved_as_tarsier(folder, config):
        return tarsier.Tarsier2
    model_type = str(config.get("model_type"))
    family = family_of(model_type)
    if family is not None:
        return family
    if not any(key in config for key in ("vision_config", "vision_tower", "mm_vision_tower")):
        raise UsageError(
            f"{folder} is a text-only model ({model_type}): it cannot see video; choose one of"
            f" {supported()}"
        )
    raise UsageError(f"{folder} is of the family {model_type}; supported are {supported()}")


def load_network(
    library: Any, folder: Path, family: type[Family], options: LoadOptions, tokenizer: Any
) -> Any:
    """The model of Transformers, with exactly the weights of the folder.

    Args:
        library: the `transformers` module.
        folder: the checkpoint.
        family: names the model's class.
        options: precision, place, quantisation, attention.
        tokenizer: of the checkpoint, for a configuration that does not name its control tokens.

    Raises `UsageError` for options that do not fit this machine, for weights that are absent,
    pickled, damaged or other ones than the model's, and whatever else Transformers refuses.
    """
    device = _device(options)
    arguments = _arguments(library, options, device)
    weight_shapes(weight_files(folder))
    if tarsier.is_tarsier(read_json(folder, "config.json")):
        arguments |= tarsier.arguments(library, folder, tokenizer)
    try:
        with _without_report():
            network, found = getattr(library, family.model_class).from_pretrained(
                str(folder), **arguments
            )
    except _broken() as error:
        chosen = options.attention not in ("auto", "eager") and "attention" in str(error)
        remedy = "; choose attention auto or eager" if chosen else ""
        raise UsageError(
            f"{folder} cannot be loaded on {device}: {reason(error)}{remedy}"
        ) from error
    _check_fit(folder, family, network, found)
    return network


def _broken() -> tuple[type[Exception], ...]:
    """What Transformers raises for files that it does not understand, and where memory ends."""
    strict: type[Exception] = imported("huggingface_hub.errors").StrictDataclassError
    files = (OSError, ImportError, ValueError, TypeError, KeyError, AttributeError)
    return (*files, RuntimeError, strict)


def _check_config(library: Any, folder: Path, family: type[Family]) -> None:
    """Transformers understands the configuration, before it is asked for anything else."""
    try:
        if tarsier.is_tarsier(read_json(folder, "config.json")):
            tarsier.configuration(library, folder)
        else:
            kind = getattr(library, family.model_class).config_class
            kind.from_pretrained(str(folder), local_files_only=True)
    except UsageError:
        raise
    except _broken() as error:
        raise UsageError(
            f"{folder / 'config.json'} describes no {family.model_class} ({reason(error)}): fetch"
            " the checkpoint again"
        ) from error


def _own_sampling(settings: dict[str, Any]) -> SamplingConfig:
    if "sampling" not in settings:
        return DEFAULT_SAMPLING
    return SamplingConfig.parse(str(settings["sampling"]))


def _own_layer(folder: Path, settings: dict[str, Any]) -> int:
    layer = settings.get("layer", -1)
    if type(layer) is not int:
        raise UsageError(f"{folder / SETTINGS} has the layer {layer!r}: give a whole number")
    return layer


def _saved_as_tarsier(folder: Path, config: dict[str, Any]) -> bool:
    """Whether it was a Tarsier2 before it was saved under Qwen2-VL's names."""
    told = read_json(folder, SETTINGS).get("family")
    return told == tarsier.Tarsier2.name and config.get("model_type") in Qwen2VL.model_types


def _processor(library: Any, folder: Path, family: type[Family]) -> Any:
    for names in _PROCESSOR_FILES:
        if not any((folder / name).is_file() for name in names):
            raise UsageError(f"{folder} lacks {names[0]}: copy it from {family.reference}")
    ours = tarsier.is_tarsier(read_json(folder, "config.json"))
    blind = UsageError(
        f"{folder} is without video support: copy video_preprocessor_config.json from"
        f" {family.reference}"
    )
    try:
        processor = tarsier.processor(library, folder) if ours else load_processor(str(folder))
    except UsageError:
        raise
    except _broken() as error:
        if "video processor" in str(error):
            raise blind from error
        raise UsageError(
            f"{folder} has a tokenizer or processor that cannot be read ({reason(error)}): copy"
            f" their files from {family.reference}"
        ) from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise UsageError(
            f"{folder} lacks preprocessor_config.json: copy it from {family.reference}"
        )
    if family.needs_video_processor and getattr(processor, "video_processor", None) is None:
        raise blind
    return processor


def _device(options: LoadOptions) -> str:
    """Where the weights go; raises `UsageError` for a GPU that is not there."""
    cuda = torch().cuda
    count = cuda.device_count() if cuda.is_available() else 0
    device = options.device_map
    if device is None:
        return "cuda:0" if count else "cpu"
    wanted = re.fullmatch(r"cuda(?::(\d+))?", device)
    if wanted and int(wanted[1] or 0) >= count:
        raise UsageError(f"device_map {device}: PyTorch sees {count} GPUs here; choose another")
    return device


def _has_gpu() -> bool:
    return bool(torch().accelerator.is_available())


def _arguments(library: Any, options: LoadOptions, device: str) -> dict[str, Any]:
    """What `from_pretrained` is told; what does not fit the model comes back, not as a warning."""
    arguments: dict[str, Any] = {
        "dtype": _dtype(options, device),
        "local_files_only": True,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
    }
    if device != "cpu":
        arguments["device_map"] = device
    if options.attention != "auto":
        arguments["attn_implementation"] = options.attention
    if options.quantisation:
        imported("bitsandbytes", "pip install bitsandbytes")
        chosen = {f"load_in_{options.quantisation}": True}
        arguments["quantization_config"] = library.BitsAndBytesConfig(**chosen)
    return arguments


def _dtype(options: LoadOptions, device: str) -> Any:
    """Raises `UsageError` for what a CPU cannot do in useful time, or at all."""
    on_cpu = device == "cpu" or not _has_gpu()
    flash = options.attention == "flash_attention_2"
    if on_cpu and options.quantisation:
        raise UsageError(f"{options.quantisation} weights need a GPU: leave quantisation out")
    if on_cpu and flash:
        raise UsageError("flash_attention_2 needs a GPU: choose sdpa or eager")
    if on_cpu and options.dtype == "float16":
        raise UsageError("dtype float16 on a CPU: choose float32 or bfloat16")
    if flash and find_spec("flash_attn") is None:
        raise UsageError(
            "flash_attention_2 is not installed: pip install flash-attn, or choose sdpa"
        )
    if options.dtype == "auto":
        return torch().float32 if on_cpu else "auto"
    return getattr(torch(), options.dtype)


@contextmanager
def _without_report() -> Iterator[None]:
    """Keeps back Transformers' table of weights that do not fit: they are an error here."""

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    log = logging.getLogger("transformers.modeling_utils")
    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


def _check_fit(folder: Path, family: type[Family], network: Any, found: dict[str, Any]) -> None:
    """Transformers has made up what was absent: that is an error, but for the head.

    Embedding needs no head, and some models are published without it: it is nought then.
    """
    head = network.get_output_embeddings()
    alone = head.weight is not network.get_input_embeddings().weight
    heads = {f"{name}.weight" for name, part in network.named_modules() if alone and part is head}
    fault = misfit(
        set(found["missing_keys"]) - heads, found["unexpected_keys"], found["mismatched_keys"]
    )
    if fault:
        raise UsageError(
            f"{folder} does not fit {family.model_class}: it {fault}; fetch the checkpoint again"
        )
    if found["missing_keys"]:
        head.weight.data.zero_()
        warnings.warn(
            f"{folder} has no language-model head: it embeds, but gives no answers", stacklevel=4
        )


def _adapt(network: Any, decoder: Any, folder: Path, options: LoadOptions) -> None:
    """Merges what was trained on the checkpoint: a LoRA, or a language model saved alone."""
    if options.quantisation or any(values.is_meta for values in network.parameters()):
        raise UsageError(
            f"adapter {folder} cannot be merged into weights that are quantised or not in memory:"
            " save the merged model first, and load that"
        )
    if (folder / ADAPTER_SETTINGS).is_file():
        merge_adapter(network, decoder, folder)
    elif (folder / "config.json").is_file():
        tarsier.lay_over(network, decoder, folder)
    else:
        raise UsageError(f"adapter {folder} holds no {ADAPTER_SETTINGS}: name a PEFT adapter")


def _weights(folder: Path, options: LoadOptions, precision: str) -> str:
    """Of all files, and how they were rounded: that turns vectors, a little."""
    parts = file_hashes(folder)
    if options.adapter is not None:
        adapter = file_hashes(Path(options.adapter))
        parts |= {f"adapter/{name}": value for name, value in adapter.items()}
    rounded = options.quantisation or precision
    return digest(parts) if rounded == "float32" else f"{digest(parts)} {rounded}"


def _check_finite(backbone: MLLM, folder: Path, options: LoadOptions) -> None:
    """One small clip with a text goes through the whole model: damaged weights show at once."""
    clip = Features(np.full((2, 56, 56, 3), 127, np.uint8), np.array([0.0, 0.5]))
    for _rows, states in backbone.states([Content(clip=clip, text="a door opens")]):
        if not np.isfinite(states.states_BTD).all():
            adapter = "" if options.adapter is None else f" with adapter {options.adapter}"
            raise UsageError(
                f"{folder}{adapter} gives vectors that are not finite: fetch it again or, where"
                " dtype is float16, choose bfloat16"
            )
