"""The network of `mini`: SmolLM2 with tokens made of a vision tower's grid between words.

A multimodal LLM in small, of Transformers' own classes, so that all that works for a large one
works for it. Its tokens of pixels start as mere separators: they add nothing before training.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

MODEL_TYPE = "kinoscope_mini"

_LEAST_FRAMES = 3
"""To which shorter clips are padded: PyTorch 2.13's convolution in bfloat16 over a depth of 2 gives
its weights a gradient of uninitialised memory, on processors without AMX."""


class MiniConfig(LlamaConfig):  # type: ignore[misc]  # Transformers is not followed by mypy
    """SmolLM2's, and what its tokens of pixels are made of.

    Attributes:
        image_token_id: stands for one token of pixels.
        separator_id: the word that it is before anything is added.
        tokens_per_frame: of pixels.
        grid: cells a side of a frame's grid.
        grid_channels: numbers a cell of the vision tower.
        colour_channels: numbers a cell of its colours, which follow them.
        width: of the connector.
    """

    model_type = MODEL_TYPE
    image_token_id: int = 0
    separator_id: int = 0
    tokens_per_frame: int = 4
    grid: int = 9
    grid_channels: int = 96
    colour_channels: int = 48
    width: int = 128


class Connector(nn.Module):  # type: ignore[misc]
    """Grids of a clip's frames -> tokens [F, K, D], each frame seen beside its neighbours.

    Convolutions over time and place, so that motion is seen where it happens; then a linear map of
    all places, so that a token knows where. A clip's tokens do not depend on other clips.
    """

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.tokens, self.size = config.tokens_per_frame, config.hidden_size
        width, pooled = config.width, config.grid // 3
        self.channels = [config.grid_channels, config.colour_channels]
        self.norm = nn.LayerNorm(config.grid_channels)
        self.enter = nn.Linear(config.grid_channels + config.colour_channels, width)
        self.place = nn.Parameter(torch.zeros(config.grid, config.grid, width))
        self.times = nn.Linear(2, width)
        self.convolutions = nn.ModuleList(nn.Conv3d(width, width, 3, padding=1) for _ in range(2))
        self.hidden = nn.Linear(width * pooled * pooled, 2 * config.hidden_size)
        self.leave = nn.Linear(2 * config.hidden_size, self.tokens * config.hidden_size)

    def reset(self) -> None:
        """PyTorch's own beginning, but for the last map: nothing is added before training."""
        for part in (self.norm, self.enter, self.times, *self.convolutions, self.hidden):
            part.reset_parameters()
        for values in (self.place, *self.leave.parameters()):
            nn.init.zeros_(values)

    def forward(self, grids_FHWC: Any, times_F: Any, counts_B: Any) -> Any:
        """Clips one behind the other; `counts_B` says how many frames each has.

        `times_F` counts seconds from each clip's first frame. Returns tokens [F * K, D].
        """
        parts = grids_FHWC.split(counts_B.tolist())
        times = times_F.split(counts_B.tolist())
        longest = max(int(counts_B.max()), _LEAST_FRAMES)
        cells_BFHWC = torch.stack([_longer(part, longest) for part in parts])
        real_BF = torch.arange(longest, device=counts_B.device) < counts_B[:, None]
        times_BF2 = torch.stack([_longer(_clock(part), longest) for part in times])
        seen, colours = cells_BFHWC.split(self.channels, dim=-1)
        x = self.enter(torch.cat([self.norm(seen), colours], dim=-1))
        x = x + (self.place + self.times(times_BF2)[:, :, None, None]).to(x.dtype)
        keep = real_BF[:, None, :, None, None].to(x.dtype)  # nothing leaks out of padding
        x = x.permute(0, 4, 1, 2, 3) * keep
        for convolution in self.convolutions:
            x = (x + functional.relu(convolution(x))) * keep
        x = functional.avg_pool3d(x, (1, 3, 3)).permute(0, 2, 1, 3, 4).flatten(2)
        tokens_BFD = self.leave(functional.relu(self.hidden(x)))
        return tokens_BFD[real_BF].view(-1, self.size)


class MiniModel(LlamaModel):  # type: ignore[misc]
    """The decoder, which adds the connector's tokens where the prompt has room for them."""

    config_class = MiniConfig

    def __init__(self, config: MiniConfig) -> None:
        super().__init__(config)
        self.connector = Connector(config)

    def forward(
        self,
        input_ids: Any = None,
        inputs_embeds: Any = None,
        grids: Any = None,
        grid_times: Any = None,
        grid_counts: Any = None,
        **named: Any,
    ) -> Any:
        """As Llama's; `grids` [F, H, W, C] belong to the clips of all rows, in their order."""
        if inputs_embeds is None:
            pixels_BT = input_ids == self.config.image_token_id
            words_BT = input_ids.masked_fill(pixels_BT, self.config.separator_id)
            inputs_embeds = self.embed_tokens(words_BT)
            if grids is not None and pixels_BT.any():
                added_ND = self.connector(grids, grid_times, grid_counts).to(inputs_embeds.dtype)
                room = torch.zeros_like(inputs_embeds)
                mask_BT1 = pixels_BT[..., None].expand_as(inputs_embeds)
                inputs_embeds = inputs_embeds + room.masked_scatter(mask_BT1, added_ND)
        kind = inputs_embeds.device.type
        if torch.is_autocast_enabled(kind):  # else what layers add up would stay in float32
            inputs_embeds = inputs_embeds.to(torch.get_autocast_dtype(kind))
        mask = named.get("attention_mask")
        if mask is not None and mask.dim() == 4:
            named["attention_mask"] = _added(mask, inputs_embeds.dtype)
        return super().forward(inputs_embeds=inputs_embeds, **named)


class MiniForConditionalGeneration(LlamaForCausalLM):  # type: ignore[misc]
    """The model with its language-model head."""

    config_class = MiniConfig

    def __init__(self, config: MiniConfig) -> None:
        super().__init__(config)
        self.model = MiniModel(config)
        self.post_init()
        self.model.connector.reset()  # after Transformers has set all parts its own way

    def forward(
        self, input_ids: Any = None, grids: Any = None, grid_times: Any = None,
        grid_counts: Any = None, **named: Any,
    ) -> Any:  # fmt: skip
        """As Llama's."""
        return super().forward(
            input_ids=input_ids,
            grids=grids,
            grid_times=grid_times,
            grid_counts=grid_counts,
            **named,
        )


def _added(seen_B1TT: Any, dtype: Any) -> Any:
    """What every attention adds to its scores; Transformers' eager one would add 1 for true."""
    hidden_B1TT = torch.zeros(seen_B1TT.shape, dtype=dtype, device=seen_B1TT.device)
    return hidden_B1TT.masked_fill(~seen_B1TT, torch.finfo(dtype).min)


def _longer(rows: Any, count: int) -> Any:
    """Rows with zeros behind them, up to `count`."""
    padding = [0, 0] * (rows.dim() - 1) + [0, count - len(rows)]
    return functional.pad(rows, padding)


def _clock(times_F: Any) -> Any:
    """Seconds since the first frame, and since the frame before, in tens of seconds [F, 2]."""
    since = torch.diff(times_F, prepend=times_F[:1])
    return torch.stack([times_F, since], dim=1) / 10
