"""Any multimodal LLM as an embedder: one forward pass, the state of the last prompt token."""

import hashlib
import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinoscope.backbones.branches import (
    MOST_TOKENS,
    Bundle,
    as_read,
    bundled,
    joined,
    longest_first,
    of_rows,
    same_clip,
)
from kinoscope.backbones.family import Batch, Family, Prompt
from kinoscope.backbones.options import LoadOptions, Side
from kinoscope.backbones.session import KVSession, last_states, mean_states
from kinoscope.backbones.speech import said
from kinoscope.batching import by_length, packed
from kinoscope.errors import UsageError
from kinoscope.libraries import torch, transformers
from kinoscope.prompts import CHAT, Template, prompts_hash
from kinoscope.types import Bool, Content, Features, Float32, Frames, Kind, States


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """A loaded multimodal LLM: `model` has a language-model head, `family` is its adapter.

    `name` and `weights` are for the spec; `layer` counts decoder layers, -1 is the last. `pooling`
    says which states make a vector: the last token's, or the mean of all. `truncate_dim` is how
    many leading components the checkpoint's own configuration keeps; None keeps all. `folder` is
    where its files lie, if it was loaded from files.
    """

    model: Any
    family: Family
    template: Template
    layer: int
    name: str
    weights: str
    pooling: Literal["last", "mean"] = "last"
    truncate_dim: int | None = None
    folder: Path | None = None


class MLLM:
    """A multimodal LLM behind the `LanguageBackbone` protocol.

    `vision` keeps pixels: towers of this kind read pairs of frames, or write times beside them, so
    that a clip is read whole. Each prompt is prepared alone and padded only in its batch; its
    vector does not depend on what else is there.
    """

    kinds: frozenset[Kind] = frozenset({"text", "image", "video", "composed"})
    centre_D: Float32 | None = None
    limits: tuple[str, ...] = ()

    def __init__(self, checkpoint: Checkpoint, options: LoadOptions) -> None:
        """Raises `UsageError` for a layer that the decoder does not have."""
        self._checkpoint, self._options = checkpoint, options
        self._model, self._family = checkpoint.model, checkpoint.family
        self._core = checkpoint.model.model
        self._decoder = self._family.decoder(self._core)
        count = len(self._decoder.layers)
        layer = checkpoint.layer if checkpoint.layer > 0 else count + 1 + checkpoint.layer
        if not 1 <= layer <= count:
            raise UsageError(f"layer {checkpoint.layer}: choose 1..{count}, or -1 for the last")
        self._layer = None if layer == count else layer

    @property
    def checkpoint(self) -> Checkpoint:
        """What was loaded."""
        return self._checkpoint

    @property
    def options(self) -> LoadOptions:
        """How it was loaded."""
        return self._options

    @property
    def model(self) -> str:
        """Where the checkpoint was loaded from."""
        return self._checkpoint.name

    @property
    def weights(self) -> str:
        """SHA-256 over the checkpoint's files, and how they were quantised."""
        return self._checkpoint.weights

    @property
    def precision(self) -> str:
        """Of its weights, such as `bfloat16`: words depend on it where vectors hardly do."""
        return str(self._model.dtype).removeprefix("torch.")

    @property
    def head(self) -> str:
        """The last prompt token, or the mean of all, of the last layer or of an earlier one."""
        pooling = self._checkpoint.pooling
        return pooling if self._layer is None else f"{pooling} of layer {self._layer}"

    @cached_property
    def prompts(self) -> str:
        """SHA-256 of token ids of made inputs of every kind, and the version that made them.

        Chat templates and processors change with Transformers: the same words, other tokens.
        """
        shape = (3, *self._family.probe_size, 3)
        clip = self.vision(Frames(np.full(shape, 127, np.uint8), np.array([0.0, 0.5, 2.0])))
        still = clip.take([0])
        probes = [
            *(Content(text="a door opens", role=role) for role in ("query", "document")),
            Content(clip=clip),
            Content(clip=still, still=True),
            Content(clip=clip, text="at night"),
        ]
        ids = [self.prepare(probe)["input_ids"].tolist() for probe in probes]
        version = ".".join(transformers().__version__.split(".")[:2])
        return f"{prompts_hash(*map(str, ids))} transformers {version}"

    @property
    def dimension(self) -> int:
        """Of the decoder's states, or as many as the checkpoint keeps."""
        size = int(self._model.config.get_text_config().hidden_size)
        return min(size, self._checkpoint.truncate_dim or size)

    @property
    def max_tokens(self) -> int:
        """Positions of the decoder: of prompt, pixels and text together."""
        return int(self._model.config.get_text_config().max_position_embeddings)

    def count_tokens(self, text: str) -> int:
        """Length of a text in tokens, without prompt."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def vision(self, frames: Frames) -> Features:
        """What the family keeps of each frame: as a rule the pixels themselves [F, H, W, 3]."""
        return self._family.vision(frames)

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """One state a row [B, 1, D], of its last prompt token or the mean of all.

        No logits are made, and no other layer is kept.
        """
        pool = last_states if self._checkpoint.pooling == "last" else mean_states
        for rows, batch in self.batches(contents):
            with torch().inference_mode():
                pooled_BD = pool(self.hidden(batch), batch["attention_mask"])[:, : self.dimension]
            yield rows, States(_numpy(pooled_BD[:, None]), np.ones((len(rows), 1), np.bool_))

    def token_states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """All states [B, T, D], with a mask of the tokens that stand for pixels."""
        ids = torch().tensor(self._family.vision_ids(self._model.config))
        for rows, batch in self.batches(contents):
            with torch().inference_mode():
                states_BTD = self.hidden(batch)
            mask_BT = _mask(batch["attention_mask"])
            vision_BT = _mask(torch().isin(batch["input_ids"].cpu(), ids)) & mask_BT
            yield rows, States(_numpy(states_BTD), mask_BT, vision_BT)

    def batches(
        self,
        contents: Sequence[Content],
        template: Template | None = None,
        *,
        share: bool = False,
        side: Side | None = None,
    ) -> Iterator[tuple[list[int], Batch]]:
        """Row numbers and tensors of batches within the token budget, long rows first.

        With `share`, what prompts on one clip have in common is read once, where the family can:
        such a batch is for `hidden` alone.
        """
        share = share and self._family.branches
        groups = self.groups([same_clip(each) if share else n for n, each in enumerate(contents)])
        order = by_length([sum(_rough_length(contents[n]) for n in group) for group in groups])
        bundles: Iterable[Bundle] = (
            bundle
            for group in (groups[place] for place in order)
            for bundle in self.bundles(group, [self.prepare(contents[n], template) for n in group])
        )
        if share:  # their lengths are far from those guessed, and pixels are kept once
            bundles = longest_first(bundles)
        yield from self.joined(bundles, side or ("left" if template is CHAT else None))

    def groups(self, keys: Sequence[Hashable]) -> list[list[int]]:
        """Numbers of the rows with equal keys, in order of appearance; one each if not shared."""
        found: dict[Hashable, list[int]] = {}
        for number, key in enumerate(keys):
            found.setdefault(key if self._family.branches else number, []).append(number)
        return list(found.values())

    def bundles(self, numbers: Sequence[int], rows: Sequence[Batch]) -> Iterator[Bundle]:
        """Prepared rows of one of `groups`, as they are read."""
        most = min(MOST_TOKENS, self._options.batch_tokens)
        return bundled(numbers, rows, self._family.vision_ids(self._model.config), most)

    def joined(
        self, bundles: Iterable[Bundle], side: Side | None = None
    ) -> Iterator[tuple[list[int], Batch]]:
        """Row numbers and tensors of batches of neighbouring bundles, on the model's device.

        `side` of the padding of their rows; None: as the options say.
        """
        side = side or self._options.padding_side
        for pack in packed(
            bundles,
            size=len,
            budget=self._options.batch_tokens,
            key=lambda bundle: self._family.bucket(bundle.rows[0]),
        ):
            batch = joined(pack, lambda rows: self._family.join(rows, side, self.pad_id))
            yield [n for bundle in pack for n in bundle.numbers], self._placed(batch)

    def hidden(self, batch: Batch, cache: Any = None, *, last: bool = False) -> Any:
        """States of the chosen layer [B, T, D], with gradient where the caller wants one.

        `last` asks for those of the last layer, whichever was chosen.
        """
        positions = self._family.position_ids(self._core, batch)
        states_BTD = self._until_layer(
            self._core,
            None if last else self._layer,
            **as_read(batch | {"position_ids": positions}, self.pad_id),
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return of_rows(states_BTD, batch)

    def read(self, contents: Sequence[Content]) -> KVSession:
        """Reads prompts as one batch and keeps their cache: room for thinking steps.

        Row i of the session is content i.
        """
        rows = [self.prepare(content) for content in contents]
        if len({self._family.bucket(row) for row in rows} - {None}) > 1:
            raise UsageError("these contents have frames of several shapes: read them apart")
        return self.session(self._placed(self._family.join(rows, "left", self.pad_id)))

    def session(self, batch: Batch) -> KVSession:
        """The same of a batch without shared clips, best padded on the left.

        A step is then as near to its prompt as alone, which sliding windows count.
        """
        cache = transformers().DynamicCache()
        states_BTD = self.hidden(batch, cache)
        mask_BT = batch["attention_mask"]
        positions = self._family.position_ids(self._core, batch)
        last_BD = last_states(states_BTD, mask_BT)
        return KVSession(self._step, cache, mask_BT, positions, last_BD)

    def head_rows(self, token_ids: Any) -> Any:
        """Rows of the LM head for ids [K] -> [K, D]: logits of a few words without those of all.

        PaliGemma 2 bounds its logits, to 30 tanh(x / 30): these rows give x.
        """
        return self._model.get_output_embeddings().weight[token_ids]

    def embed_tokens(self, token_ids: Any) -> Any:
        """Input embeddings of ids [...] -> [..., D], scaled as the model scales them."""
        return self._core.get_input_embeddings()(token_ids)

    def generate(self, contents: Sequence[Content], *, max_new_tokens: int = 64) -> list[str]:
        """Greedy answers, in the order of contents: a text is a question, a clip what it is about.

        Raises `UsageError` unless `max_new_tokens` is positive.
        """
        return [each.text for each in said(self, contents, max_new_tokens=max_new_tokens)]

    @property
    def _tokenizer(self) -> Any:
        return self._family.processor.tokenizer

    @property
    def pad_id(self) -> int:
        """The token that fills rows up: a model without one takes its end of text."""
        tokenizer = self._tokenizer
        pad_id = tokenizer.pad_token_id
        return int(tokenizer.eos_token_id if pad_id is None else pad_id)

    def _step(self, **inputs: Any) -> Any:
        return self._until_layer(self._decoder, self._layer, **inputs, use_cache=True)

    def _until_layer(self, module: Any, layer: int | None, **inputs: Any) -> Any:
        """States of a layer, none of the later layers being run; None is the last.

        An earlier layer's states are what the layer after it reads.
        """
        if layer is None:
            return module(**inputs).last_hidden_state
        found: list[Any] = []

        def stop(_module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            found.append(arguments[0] if arguments else named["hidden_states"])
            raise _LayerReached

        after = self._decoder.layers[layer]
        handle = after.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            module(**inputs)
        except _LayerReached:
            return found[0]
        finally:
            handle.remove()
        raise AssertionError("the decoder never reached the chosen layer")

    def prepare(self, content: Content, template: Template | None = None) -> Batch:
        """Tensors of one content; a text that is too long is cut, with a warning."""
        text = content.text and self._harmless(content.text)
        inputs = self._inputs(content, text, template)
        length, most = int(inputs["input_ids"].shape[1]), self.max_tokens
        if length <= most:
            return inputs
        text_length = self.count_tokens(text) if text else 0
        kept = text_length - (length - most)
        if kept < 1:
            raise UsageError(
                f"a clip of {length} tokens: the model reads {most};"
                " choose fewer clip_frames or max_pixels"
            )
        warnings.warn(
            f"a text of {text_length} tokens is cut to its first {kept}: with its prompt"
            f" the model reads {most}",
            stacklevel=2,
        )
        assert text is not None
        return self._inputs(content, self.first_tokens(text, kept), template)

    def _inputs(self, content: Content, text: str | None, template: Template | None) -> Batch:
        medium = "image" if content.still else "video"
        template = template or self._checkpoint.template
        caption = content.caption and self._harmless(content.caption)
        messages = template.messages(content.kind, text, medium, content.role, caption=caption)
        return self._family.inputs(
            Prompt(messages=messages, clip=content.clip, still=content.still)
        )

    def first_tokens(self, text: str, count: int) -> str:
        """A text cut to at most `count` tokens, fewer than it has; no character is split."""
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = found["offset_mapping"]
        return text[: min(offsets[count - 1][1], offsets[count][0])]

    def _harmless(self, text: str) -> str:
        """Control words of the model, such as `<|im_end|>`, split so that they are mere text."""
        for word in self._family.control_words:
            text = text.replace(word, f"{word[0]} {word[1:]}")
        return text

    def _placed(self, batch: Batch) -> Batch:
        """On the model's device; pixels in its precision."""
        model = self._model
        return {
            key: value.to(model.device, model.dtype if key.startswith("pixel_values") else None)
            for key, value in batch.items()
        }


class _LayerReached(Exception):  # no error: what ends a forward pass early
    """The chosen layer's states are there."""


def digest(parts: dict[str, str]) -> str:
    """SHA-256 over names and their hashes, in the order of names."""
    lines = "\n".join(f"{name} {value}" for name, value in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _rough_length(content: Content) -> float:
    """Orders contents before they are prepared: about tokens."""
    pixels = 0 if content.clip is None else content.clip.values_F.size
    return len((content.text or "") + (content.caption or "")) / 4 + pixels / 2000


def _mask(mask_BT: Any) -> Bool:
    return np.asarray(mask_BT.bool().cpu().numpy())


def _numpy(states: Any) -> Float32:
    return np.asarray(states.float().cpu().numpy())
