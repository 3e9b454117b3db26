"""`mini`: a multimodal LLM of at most 140 million parameters, for machines without a GPU."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from kinoscope.backbones.family import Batch, Family, Prompt
from kinoscope.backbones.mllm import MLLM, Checkpoint, digest
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.libraries import imported, torch, transformers
from kinoscope.mini_weights import CHANNELS, GRID, MiniFiles
from kinoscope.packages import sha256_of
from kinoscope.prompts import ONE_WORD
from kinoscope.runtime import open_session, usable_cores
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Features, Float32, Frames
from kinoscope.weights import CLASSES, SIDE_PX

NAMED = 2
"""Likeliest classes of a frame that are told."""
MOST_NAMED = 6
"""Of a clip, each once."""

SAMPLING = SamplingConfig(fps=2.0, clip_frames=32)
"""What it is trained with."""

PLACEHOLDER = "<file_sep>"
"""A token of SmolLM2 for code, which stands for pixels here."""

EDITION = "4 x 4 colours a cell"
"""What `Mini.vision` makes of a frame, beside the tower's own view."""

_VISION_BATCH = 8
_FINE = 4
"""Places a side of a cell whose colour is kept: enough to see what turns, opens or fills."""
_COLOURS = 3 * _FINE * _FINE
_CELLS = GRID * GRID * (CHANNELS + _COLOURS)


class Mini(Family):
    """A clip is told by the words of its frames' likeliest classes, then by tokens of their grids.

    `fox, red fox, kite; <K tokens of pixels> <K tokens> ...`: what the language model can read from
    the first moment, and what it learns to see.
    """

    model_types = ("kinoscope_mini",)
    reference = "mini"
    model_class = "MiniForConditionalGeneration"
    needs_video_processor = False
    probe_size = (SIDE_PX, SIDE_PX)
    tokens_per_frame = 2
    branches = True

    def __init__(self, tokenizer: Any, files: MiniFiles, threads: int | None = None) -> None:
        """`tokenizer` is SmolLM2's; the vision tower loads on first use."""
        super().__init__(_TextOnly(tokenizer), max_pixels=None)
        self._files, self._threads = files, threads or usable_cores()

    def vision(self, frames: Frames) -> Features:
        """What the tower sees, a row a frame: cells [9 * 9 * 144] in float16, then class numbers.

        Raises `UsageError` unless frames are 260 x 260.
        """
        height, width = frames.rgb_FHWC.shape[1:3]
        if (height, width) != (SIDE_PX, SIDE_PX):
            raise UsageError(f"frames of {width}x{height} px: mini reads {SIDE_PX}x{SIDE_PX}")
        rows = [np.empty((0, _CELLS + NAMED), np.float16)]
        for first in range(0, len(frames), _VISION_BATCH):
            rgb_FHWC = frames.rgb_FHWC[first : first + _VISION_BATCH]
            (seen_FC,) = self._session.run(None, {"rgb_FHWC": rgb_FHWC})
            rows.append(_features(seen_FC, rgb_FHWC))
        return Features(np.concatenate(rows), frames.times_F)

    @cached_property
    def tower(self) -> str:
        """Hash of all that `vision` depends on: features outlive the training of the rest."""
        return digest({"vision": sha256_of(self._files.vision), "edition": EDITION})

    def inputs(self, prompt: Prompt) -> Batch:
        """Tensors of one prompt; its pixels are `grids` [F, 9, 9, 144]."""
        tokenizer = self.processor.tokenizer
        found = tokenizer([self.render(prompt)], add_special_tokens=False, return_tensors="pt")
        batch = {name: found[name] for name in ("input_ids", "attention_mask")}
        if prompt.clip is not None:
            batch |= self._grids(prompt.clip)
        return batch

    def render(self, prompt: Prompt) -> str:
        """SmolLM2's chat form; where the media stands, the frames are told one by one."""
        turns = []
        for message in prompt.messages:
            parts = [part.get("text") or self._told(prompt) for part in message["content"]]
            turns.append(f"<|im_start|>{message['role']}\n{''.join(parts)}<|im_end|>\n")
        return "".join(turns) + "<|im_start|>assistant\n"

    def pixel_tokens(self, core: Any, clips: Sequence[Features]) -> list[Any]:
        """See `Family`."""
        parts = [self._grids(clip) for clip in clips]
        together = {name: torch().cat([part[name] for part in parts]) for name in parts[0]}
        tokens_ND = core.connector(
            together["grids"], together["grid_times"], together["grid_counts"]
        )
        found: list[Any] = list(tokens_ND.split([len(c) * self.tokens_per_frame for c in clips]))
        return found

    def decoder(self, core: Any) -> Any:
        """The core itself: it takes `inputs_embeds`, and adds nothing to them."""
        return core

    def _grids(self, clip: Features) -> Batch:
        values_FN = np.asarray(clip.values_F)
        cells_FHWC = values_FN[:, :_CELLS].reshape(-1, GRID, GRID, CHANNELS + _COLOURS)
        seconds_F = clip.times_F - clip.times_F[0]
        return {
            "grids": torch().from_numpy(cells_FHWC.astype(np.float32)),
            "grid_times": torch().from_numpy(seconds_F.astype(np.float32)),
            "grid_counts": torch().tensor([len(values_FN)]),
        }

    def _told(self, prompt: Prompt) -> str:
        assert prompt.clip is not None
        numbers_FN = np.asarray(prompt.clip.values_F)[:, _CELLS:].astype(int)
        seen = list(dict.fromkeys(numbers_FN.ravel().tolist()))[:MOST_NAMED]  # in order of time
        names = ", ".join(self._names[number] for number in seen)
        return f"{names};{PLACEHOLDER * self.tokens_per_frame * len(numbers_FN)}"

    @cached_property
    def _names(self) -> list[str]:
        names: list[str] = json.loads(self._files.class_names.read_text(encoding="utf-8"))
        return names

    @cached_property
    def _session(self) -> Any:
        return open_session(self._files.vision, self._threads)


class _TextOnly:
    """What a family asks of a processor, where there is only a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.image_token = PLACEHOLDER


def load_tokenizer(files: MiniFiles) -> Any:
    """SmolLM2's."""
    library = transformers()
    return library.AutoTokenizer.from_pretrained(str(files.language_model), local_files_only=True)


def make_config(files: MiniFiles, tokenizer: Any, *, layers: int, width: int | None = None) -> Any:
    """SmolLM2's configuration with so many layers, and a connector of that width.

    Raises `UsageError` unless SmolLM2 has so many layers.
    """
    transformers()
    from kinoscope.backbones.mini_model import MiniConfig

    values = json.loads((files.language_model / "config.json").read_text())
    most = values["num_hidden_layers"]
    if not 1 <= layers <= most:
        raise UsageError(f"layers {layers}: SmolLM2 has {most}")
    (separator,) = tokenizer(";", add_special_tokens=False)["input_ids"]
    own = {} if width is None else {"width": width}
    return MiniConfig(
        **{name: value for name, value in values.items() if name not in ("model_type", "dtype")}
        | {"num_hidden_layers": layers},
        image_token_id=tokenizer.convert_tokens_to_ids(PLACEHOLDER),
        separator_id=separator,
        tokens_per_frame=Mini.tokens_per_frame,
        grid=GRID,
        grid_channels=CHANNELS,
        colour_channels=_COLOURS,
        **own,
    )


def untrained_mini(
    files: MiniFiles,
    *,
    layers: int = 30,
    threads: int | None = None,
    options: LoadOptions | None = None,
) -> MLLM:
    """The model as training begins: SmolLM2's first layers, and pixels that add nothing yet.

    Raises `UsageError` unless SmolLM2 has so many layers.
    """
    transformers()
    from kinoscope.backbones.mini_model import MiniForConditionalGeneration

    tokenizer = load_tokenizer(files)
    config = make_config(files, tokenizer, layers=layers)
    with torch().random.fork_rng(devices=[]):  # the same beginning each time
        torch().manual_seed(0)
        network = MiniForConditionalGeneration(config)
    state = imported("safetensors.torch").load_file(files.language_model / "model.safetensors")
    known = set(network.state_dict())
    missing = network.load_state_dict(
        {name: values.float() for name, values in state.items() if name in known}, strict=False
    ).missing_keys
    assert all("connector" in name or name == "lm_head.weight" for name in missing), missing
    network.tie_weights()
    if options is not None and options.attention != "auto":
        network.set_attn_implementation(options.attention)
    checkpoint = Checkpoint(
        model=network.eval(),
        family=Mini(tokenizer, files, threads),
        template=ONE_WORD,
        layer=-1 if options is None or options.layer is None else options.layer,
        name="mini",
        weights=digest({"base": _hash(files), "layers": str(layers), "trained": "no"}),
    )
    return MLLM(checkpoint, options or LoadOptions())


def _hash(files: MiniFiles) -> str:
    return digest(
        {
            path.name: sha256_of(path)
            for path in (files.vision, files.language_model / "model.safetensors")
        }
    )


def _features(seen_FC: Float32, rgb_FHWC: np.ndarray) -> np.ndarray:
    """Cells with their mean colours, and the likeliest classes, best first: float16 [F, N]."""
    likely_FK = np.argsort(-seen_FC[:, :CLASSES], axis=1, kind="stable")[:, :NAMED]
    grid_FHWC = seen_FC[:, CLASSES:].reshape(-1, GRID, GRID, CHANNELS)
    cells_FHWC = np.concatenate([grid_FHWC, _colours(rgb_FHWC)], axis=3)
    rows = [cells_FHWC.reshape(len(seen_FC), -1), likely_FK]  # float16 counts exactly to 2048
    return np.concatenate(rows, axis=1).astype(np.float16)


def _colours(rgb_FHWC: np.ndarray) -> Float32:
    """Mean colours of the 4 x 4 places of each cell, -1..1: [F, 9, 9, 48]."""
    side = GRID * _FINE
    edges = np.linspace(0, SIDE_PX, side + 1).round().astype(int)
    sums = np.add.reduceat(rgb_FHWC.astype(np.float32), edges[:-1], axis=1)
    sums = np.add.reduceat(sums, edges[:-1], axis=2)
    sizes = np.diff(edges).astype(np.float32)
    areas_HW1 = (sizes[:, None] * sizes[None, :])[..., None]
    means_FHWC = (sums / areas_HW1 / 127.5 - 1).astype(np.float32)
    split = means_FHWC.reshape(-1, GRID, _FINE, GRID, _FINE, 3).transpose(0, 1, 3, 2, 4, 5)
    return np.asarray(split.reshape(-1, GRID, GRID, _COLOURS), np.float32)
