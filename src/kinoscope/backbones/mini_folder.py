"""What training has made of `mini`, in a folder of its own: written, checked, and loaded again.

`learned.safetensors` holds all weights but the word embeddings, which come with the base files;
`config.json` is Transformers' own; `mini.json` says how the weights are kept and used.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kinoscope.backbones.checkpoint_files import read_json
from kinoscope.backbones.mini import EDITION, Mini, load_tokenizer, make_config
from kinoscope.backbones.mini_learned import (
    FORMS,
    LEFT_OUT,
    WORDS,
    Form,
    base_words,
    read_learned,
    write_learned,
)
from kinoscope.backbones.mllm import MLLM, Checkpoint, digest
from kinoscope.backbones.new_folder import new_folder
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import SetupError, UsageError
from kinoscope.libraries import torch
from kinoscope.mini_weights import mini_files, pinned
from kinoscope.packages import sha256_of
from kinoscope.prompts import TEMPLATES, template_named
from kinoscope.sampling import SamplingConfig
from kinoscope.weights import SIDE_PX

NAME = "mini"
SHIPPED = Path(__file__).parent / NAME
"""The trained weights that come with the package."""

SETTINGS = "mini.json"
"""In place of a checkpoint's `kinoscope.json`; training may add what else belongs to the model."""

_CONFIG, _LEARNED = "config.json", "learned.safetensors"
_EDITION = 1  # the number changes with what the files mean
_MOST_JSON_BYTES = 2**20
_MOST_WIDE = 4096
_FREE = ("num_hidden_layers", "width")
"""What a folder's configuration chooses; the rest is that of the base files."""
_UNCOMPARED = {*_FREE, "dtype", "architectures", "transformers_version", "_name_or_path"}
_COPY, _SAVE = "copy the whole folder again", "save it again with this version of Kinoscope"


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """`mini.json`.

    Attributes:
        edition: of the folder's form.
        form: of the weights.
        layers: of the decoder.
        layer, template, sampling: how it embeds, as `LoadOptions` and `SamplingConfig` say it.
        base: hash of what decides the base files, the same on every machine.
        learned: SHA-256 of the weights.
    """

    edition: int
    form: str
    layers: int
    layer: int
    template: str
    sampling: str
    base: str
    learned: str


def shipped() -> Path:
    """The folder that comes with the package; `SetupError` where there is none."""
    if not (SHIPPED / SETTINGS).is_file():
        raise SetupError(
            "this copy of Kinoscope has no trained weights of mini: name a folder that has, or use"
            " the model concepts"
        )
    return SHIPPED


def is_mini_folder(folder: Path) -> bool:
    """Whether a checkpoint's own configuration says that it is a `mini`."""
    return read_json(folder, _CONFIG).get("model_type") in Mini.model_types


def save_mini(
    backbone: MLLM,
    sampling: SamplingConfig,
    folder: Path,
    *,
    form: Form = "int8",
    also: Callable[[Path], None] | None = None,
) -> None:
    """Writes what was learned, whole or not at all.

    Args:
        backbone: a `mini`.
        sampling: that it is used with.
        folder: one that is not there, or is empty.
        form: of matrices: `float16`, or `int8` with a scale a row. Norms and other small weights
            are float32 in both.
        also: writes what else belongs into the folder, before it is in place.

    Raises `UsageError` for another model, word embeddings that were trained, weights that are not
    finite, and as `new_folder`.
    """
    if form not in FORMS:
        raise UsageError(f"form {form!r}: choose {' or '.join(FORMS)}")
    checkpoint = backbone.checkpoint
    if not isinstance(checkpoint.family, Mini):
        raise UsageError(f"{backbone.model} is no mini: save it as a checkpoint")
    assert checkpoint.template.name in TEMPLATES and checkpoint.pooling == "last", checkpoint
    _check_sampling(sampling)
    _check_words(backbone)
    with new_folder(folder) as partial:
        checkpoint.model.config.save_pretrained(partial)
        write_learned(partial / _LEARNED, backbone.model, checkpoint.model, form)
        settings = _Settings(
            edition=_EDITION,
            form=form,
            layers=checkpoint.model.config.num_hidden_layers,
            layer=checkpoint.layer,
            template=checkpoint.template.name,
            sampling=sampling.describe(),
            base=_base(),
            learned=sha256_of(partial / _LEARNED),
        )
        (partial / SETTINGS).write_text(json.dumps(asdict(settings), indent=1) + "\n")
        if also is not None:
            also(partial)


def load_mini(
    folder: Path,
    options: LoadOptions | None = None,
    *,
    sampling: SamplingConfig | None = None,
    threads: int | None = None,
) -> tuple[MLLM, SamplingConfig]:
    """The model of a folder that `save_mini` wrote, on the CPU, and the sampling that it is for.

    Args:
        folder: its place.
        options: precision, attention, layer, prompts.
        sampling: in place of the folder's own.
        threads: processors that it may use; all by default.

    Raises `UsageError` for a folder that is damaged or made for other base files, and for options
    that mini does not take; `SetupError` if the base files are absent.
    """
    options, folder = options or LoadOptions(), Path(folder).resolve()
    _check_options(options)
    settings = _read_settings(folder)
    sampling = sampling or SamplingConfig.parse(settings.sampling)
    _check_sampling(sampling)
    files = mini_files()
    tokenizer = load_tokenizer(files)
    config = _read_config(folder, settings, make_config(files, tokenizer, layers=settings.layers))
    learned = _read_learned(folder, settings, config)
    if threads is not None:
        torch().set_num_threads(threads)
    network = _network(config, {**learned, WORDS: base_words(files)}, options)
    checkpoint = Checkpoint(
        model=network,
        family=Mini(tokenizer, files, threads),
        template=template_named(options.template or settings.template),
        layer=settings.layer if options.layer is None else options.layer,
        name=NAME if folder == SHIPPED.resolve() else str(folder),
        weights=_weights(folder, settings, network),
        folder=folder,
    )
    return MLLM(checkpoint, options), sampling


def _base() -> str:
    return digest({**pinned(), "frames": EDITION})


def _read_settings(folder: Path) -> _Settings:
    """Raises `UsageError` for settings of another edition, or of another base."""
    values = _read_small(folder, SETTINGS)
    if not values:
        raise UsageError(f"{folder} lacks {SETTINGS}: {_COPY}")
    if values.get("edition") != _EDITION:
        raise UsageError(
            f"{folder} is of edition {values.get('edition')!r}, and this version of Kinoscope reads"
            f" {_EDITION}: {_SAVE}"
        )
    known = {field.name: field.type for field in fields(_Settings)}
    wrong = sorted(name for name, kind in known.items() if type(values.get(name)) is not kind)
    if wrong or values["form"] not in FORMS:
        name = wrong[0] if wrong else "form"
        raise UsageError(f"{folder / SETTINGS} has the {name} {values.get(name)!r}: {_COPY}")
    settings = _Settings(**{name: values[name] for name in known})
    if settings.base != _base():
        raise UsageError(
            f"{folder} was trained on other base files than those of this version: {_SAVE}, or use"
            " the version that wrote it"
        )
    return settings


def _read_config(folder: Path, settings: _Settings, config: Any) -> Any:
    """The configuration with the folder's own choices; the rest must be that of the base files."""
    path, values = folder / _CONFIG, _read_small(folder, _CONFIG)
    layers, width = (values.get(name) for name in _FREE)
    if layers != settings.layers:
        raise UsageError(f"{path} has {layers!r} layers, and {SETTINGS} {settings.layers}: {_COPY}")
    if type(width) is not int or not 1 <= width <= _MOST_WIDE:
        raise UsageError(f"{path} has the width {width!r}: choose 1..{_MOST_WIDE}")
    wanted = json.loads(json.dumps(config.to_dict()))
    for name in sorted(values.keys() & wanted.keys() - _UNCOMPARED):
        if values[name] != wanted[name]:
            raise UsageError(
                f"{path} has {name} {values[name]!r}, and mini has {wanted[name]!r}: {_SAVE}"
            )
    config.width = width
    return config


def _read_learned(folder: Path, settings: _Settings, config: Any) -> dict[str, Any]:
    path = folder / _LEARNED
    if not path.is_file():
        raise UsageError(f"{folder} lacks {_LEARNED}: {_COPY}")
    learned = read_learned(path, config, settings.form)
    if sha256_of(path) != settings.learned:
        raise UsageError(f"{path} is not what was saved: {_COPY}")
    return learned


def _read_small(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if path.is_file() and path.stat().st_size > _MOST_JSON_BYTES:
        raise UsageError(f"{path} has {path.stat().st_size} bytes: {_COPY}")
    return read_json(folder, name)


def _network(config: Any, state: dict[str, Any], options: LoadOptions) -> Any:
    from kinoscope.backbones.mini_model import MiniForConditionalGeneration

    network = MiniForConditionalGeneration.from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=torch().float32,
        attn_implementation=None if options.attention == "auto" else options.attention,
    )
    if options.dtype == "bfloat16":  # but for the connector, whose inputs are float32
        core = network.model
        for part in (core.embed_tokens, core.layers, core.norm):
            part.to(torch().bfloat16)
    return network.eval()


def _weights(folder: Path, settings: _Settings, network: Any) -> str:
    """Of base and folder, and how they were rounded: that turns vectors, a little."""
    parts = {
        "base": settings.base,
        _CONFIG: sha256_of(folder / _CONFIG),
        _LEARNED: settings.learned,
        "form": settings.form,
    }
    rounded = str(network.dtype).removeprefix("torch.")
    return digest(parts) if rounded == "float32" else f"{digest(parts)} {rounded}"


def _check_options(options: LoadOptions) -> None:
    """Mini is small: it is loaded whole, on the CPU."""
    if options.quantisation is not None:
        raise UsageError(f"quantisation {options.quantisation}: mini is small, leave it out")
    if options.adapter is not None:
        raise UsageError(f"adapter {options.adapter}: mini is trained whole, leave it out")
    if options.device_map not in (None, "cpu", "auto"):
        raise UsageError(f"device_map {options.device_map}: mini runs on the CPU, leave it out")
    if options.dtype == "float16":
        raise UsageError("dtype float16 on a CPU: choose float32 or bfloat16")
    if options.attention == "flash_attention_2":
        raise UsageError("flash_attention_2 needs a GPU: choose sdpa or eager")


def _check_sampling(sampling: SamplingConfig) -> None:
    if sampling.side_px != SIDE_PX:
        raise UsageError(f"side_px {sampling.side_px}: mini reads {SIDE_PX}")


def _check_words(backbone: MLLM) -> None:
    """Raises `UsageError` for word embeddings that a folder could not give back."""
    network = backbone.checkpoint.model
    own_VD, head_VD = (
        part.weight.detach().cpu()
        for part in (network.get_input_embeddings(), network.get_output_embeddings())
    )
    base_VD = base_words(mini_files()).to(own_VD.dtype)
    if not (own_VD.equal(base_VD) and head_VD.equal(own_VD)):
        raise UsageError(
            f"{backbone.model} has other word embeddings than its base: train with"
            f" {' and '.join(LEFT_OUT)} frozen"
        )
