"""Nuance tuning: a multimodal LLM learns time, negation and edits from sentences alone.

TARA (arXiv 2512.13511): one-word embeddings of text triplets under a contrast in which every hard
negative of the batch counts; only the language model moves. Vision tower and projector stay, bit
for bit, as they are.
"""

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.gather import gathered
from kinoscope.training.losses import info_nce, kept, triplets
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms, Value
from kinoscope.training.teaching import Model, backbone_of, embed
from kinoscope.training.triplets import Mixed, Triplet
from kinoscope.training.triplets.triplet import unlike
from kinoscope.types import Content, Float32

TRIPLETS, PLAIN = "triplets", "plain"
"""The two parts of what is drawn."""

Keep = Literal["distil", "pairs"]
KEEPS: tuple[Keep, ...] = ("distil", "pairs")


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Plain captions, by which a model keeps what it knows.

    Attributes:
        name: for people and for the run's description.
        captions: one item a thing, each with its wordings, all true of it.
    """

    name: str
    captions: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.captions or not all(self.captions):
            raise UsageError(f"plain captions {self.name!r} have an item without one: remove it")

    def __repr__(self) -> str:
        return f"Plain({self.name!r}, {len(self.captions)} items)"

    @property
    def fingerprint(self) -> str:
        """Of all captions in their order."""
        told = "\n".join("\t".join(wordings) for wordings in self.captions)
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class NuanceConfig:
    """How triplets are learned.

    Attributes:
        temperature: of the contrast, fixed, as in TARA.
        max_tokens: of a sentence, which is cut there, with a warning; a caption and its edit have
            as many each.
        cached: whether memory holds the graph of one of the backbone's batches at a time, rather
            than of the whole pool, at a third more work.
        each: triplets of one item of a draw: where lessons on videos set a small batch, a pool of
            triplets can be large nevertheless.
        share: of the draws, beside other parts.
        keep: against forgetting, on plain captions: `distil` the similarities that the model had
            before, or contrast `pairs` of two wordings; None learns triplets alone.
        keep_share: of the draws that are plain captions.
        keep_weight: of their loss.
        keep_temperature: of the similarities that are distilled.
    """

    temperature: float = 0.05
    max_tokens: int = 32
    cached: bool = True
    each: int = 1
    share: float = 1.0
    keep: Keep | None = None
    keep_share: float = 0.25
    keep_weight: float = 1.0
    keep_temperature: float = 0.05

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep not in KEEPS:
            raise UsageError(f"keep {self.keep!r}: choose {' or '.join(KEEPS)}, or None")
        good = {
            "max_tokens": self.max_tokens >= 1,
            "each": self.each >= 1,
            **{
                name: 0 < getattr(self, name) < math.inf
                for name in ("temperature", "share", "keep_share", "keep_weight")
            },
            "keep_temperature": 0 < self.keep_temperature < math.inf,
        }
        for name, fits in good.items():
            if not fits:
                raise UsageError(
                    f"{name} {getattr(self, name)!r} is out of range: see NuanceConfig"
                )


class Nuance:
    """A `Task` of the loop: the language model of a multimodal LLM learns from text triplets.

    What learns is the decoder's layers and its last norm, or the LoRA beside them if there is one;
    word embeddings, head, vision tower and projector do not, nor what a model has learned of
    thinking: its texts are vectors of one thought, through its head.
    """

    def __init__(
        self,
        model: Model,
        mixed: Mixed,
        config: NuanceConfig,
        plain: Plain | None = None,
        validate: Callable[[Model], Mapping[str, float]] = lambda _model: {},
    ) -> None:
        """Freezes what does not learn. `validate` measures the model on held-out data.

        Warns of sentences that are cut. Raises `UsageError` for `keep` without plain captions, for
        such without `keep`, for pairs of one wording, for a model whose queries think, and if the
        cut leaves no triplet.
        """
        if isinstance(model, Thinker) and model.thinking.query is not None:
            raise UsageError("triplets tune texts of one thought: let documents alone think")
        backbone = backbone_of(model)
        self._model, self._mixed, self._config = model, mixed, config
        self._validate = validate
        self._network = backbone.checkpoint.model
        _check_plain(plain, config)
        self._plain = plain
        self._triplets = cut_triplets(backbone, mixed.triplets, config.max_tokens)
        self._before_ND: Float32 | None = None
        if plain is not None and config.keep == "distil":
            self._network.eval()
            captions = [Content(text=wordings[0]) for wordings in plain.captions]
            with torch.inference_mode():  # resumed runs find the same
                self._before_ND = embed(model, captions).cpu().numpy()
        self._learned = language_weights(backbone)
        for frozen in (self._network, *learned_parts(model)):
            frozen.requires_grad_(False)
        for values in self._learned.values():
            values.requires_grad_(True)

    def describe(self) -> Mapping[str, Value]:
        """Backbone, mix, plain captions, and how they are learned."""
        plain, model = self._plain, self._model
        thinks = f"; {model.describe()}" if isinstance(model, Thinker) else ""
        return {
            "model": backbone_of(model).weights + thinks,
            "mix": self._mixed.fingerprint,
            "counts": str(dict(self._mixed.counts)),
            "plain": "none" if plain is None else f"{plain.name} {plain.fingerprint}",
            "nuance": str(asdict(self._config)),
        }

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """Those of the language model that learn."""
        return self._learned.items()

    def parts(self) -> Mapping[str, Part]:
        """Triplets, `each` of them an item, and plain captions if they are asked for."""
        config, items = self._config, math.ceil(len(self._triplets) / self._config.each)
        found = {TRIPLETS: Part(length=items, weight=config.share)}
        if self._plain is not None:
            weight = config.share * config.keep_share
            found[PLAIN] = Part(length=len(self._plain.captions), weight=weight)
        return found

    def batch(self, draw: Draw) -> Batch:
        """Contents of triplets, or two wordings of each plain item, chosen by item and epoch."""
        if draw.part == TRIPLETS:
            each = self._config.each
            chosen = [
                triplet
                for item in draw.items
                for triplet in self._triplets[item * each : (item + 1) * each]
            ]
            return Batch(chosen, {"nuance": float(len(chosen))})
        assert self._plain is not None and self._config.keep is not None, draw.part
        return Batch(self._plain_inputs(draw), {self._config.keep: float(len(draw.items))})

    def losses(self, batch: Batch, step: int) -> Terms:
        """The contrast of triplets, `nuance`; or what keeps what is known, `distil` or `pairs`."""
        self._network.train()
        terms = {"nuance": self._contrast, "distil": self._distil, "pairs": self._pairs}
        (name,) = batch.counts
        weight = 1.0 if name == "nuance" else self._config.keep_weight
        return Terms({name: terms[name](batch.inputs)}, {name: weight})

    def validate(self) -> Mapping[str, float]:
        """As given, in evaluation mode."""
        self._network.eval()
        with torch.inference_mode():
            return dict(self._validate(self._model))

    def _contrast(self, chosen: Sequence[tuple[Content, Content, Content]]) -> Any:
        anchors, positives, negatives = zip(*chosen, strict=True)
        rows_ND = self._rows([*anchors, *positives, *negatives])
        anchors_BD, positives_BD, negatives_BD = rows_ND.split(len(chosen))
        return triplets(
            anchors_BD,
            gathered(positives_BD),
            gathered(negatives_BD),
            temperature=self._config.temperature,
        ).sum()

    def _distil(self, inputs: tuple[list[Content], Float32]) -> Any:
        contents, before_BD = inputs
        rows_BD = self._rows(contents)
        before = torch.from_numpy(before_BD).to(rows_BD.device)
        return kept(
            gathered(rows_BD), gathered(before), temperature=self._config.keep_temperature
        ).sum()

    def _pairs(self, contents: Sequence[Content]) -> Any:
        rows_ND = self._rows(contents)
        one_BD, other_BD = rows_ND.split(len(contents) // 2)
        others = gathered(other_BD)
        return info_nce(
            one_BD, others.all_ND, others.places_B, temperature=self._config.temperature
        ).sum()

    def _rows(self, contents: Sequence[Content]) -> Any:
        return embed(self._model, contents, cached=self._config.cached)

    def _plain_inputs(self, draw: Draw) -> Any:
        assert self._plain is not None
        items = [self._plain.captions[item] for item in draw.items]
        if self._before_ND is not None:
            captions = [Content(text=wordings[0]) for wordings in items]
            return captions, self._before_ND[list(draw.items)]
        drawn = [
            np.random.default_rng((draw.epoch, item)).choice(len(wordings), 2, replace=False)
            for item, wordings in zip(draw.items, items, strict=True)
        ]
        return [
            Content(text=wordings[pair[side]])
            for side in (0, 1)
            for wordings, pair in zip(items, drawn, strict=True)
        ]


def language_weights(backbone: MLLM) -> dict[str, Any]:
    """By name, what of a language model learns: its layers and last norm, or the LoRA beside."""
    inside = _language(backbone)
    return {name: values for name, values in inside.items() if "lora_" in name} or inside


def untouched_hash(model: Model) -> str:
    """SHA-256 over all weights that text does not move: of pixels, words, head and thinking."""
    backbone, digest = backbone_of(model), hashlib.sha256()
    inside = _language(backbone)
    parts = (backbone.checkpoint.model, *learned_parts(model))
    for name, values in (pair for part in parts for pair in sorted(part.state_dict().items())):
        if name not in inside:
            plain = values.detach().cpu().contiguous().reshape(-1)
            digest.update(f"{name} {values.dtype} {list(values.shape)}".encode())
            digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def learned_parts(model: Model) -> tuple[Any, ...]:
    """What a model has learned of thinking, as modules."""
    return (model.learned,) if isinstance(model, Thinker) else ()


def _language(backbone: MLLM) -> dict[str, Any]:
    """All weights in the decoder's layers and last norm, those of a LoRA too."""
    checkpoint = backbone.checkpoint
    decoder = checkpoint.family.decoder(checkpoint.model.model)
    own = {id(v) for part in (decoder.layers, decoder.norm) for v in part.parameters()}
    return {n: v for n, v in checkpoint.model.named_parameters() if id(v) in own}


def cut_triplets(
    backbone: MLLM, chosen: Sequence[Triplet], most: int
) -> list[tuple[Content, Content, Content]]:
    """Contents of triplets, each sentence cut to its first tokens; warns how many are.

    Triplets whose sentences are alike after the cut are left out, which the warning says too.
    Raises `UsageError` if none is left.
    """
    sentences = dict.fromkeys(
        text for one in chosen for text in (one.anchor, one.edit, one.positive, one.negative)
    )
    short = _cut(backbone, list(sentences), most)
    long_by_part: Counter[str] = Counter()
    found = []
    for one in chosen:
        texts = {name: getattr(one, name) for name in ("anchor", "edit", "positive", "negative")}
        cut = {name: short.get(text, text) for name, text in texts.items()}
        long_by_part[one.part] += sum(cut[name] != text for name, text in texts.items())
        if unlike("" if one.edit else cut["anchor"], cut["positive"], cut["negative"]) is None:
            found.append(replace(one, **cut).contents())
    if long_by_part.total():
        parts = ", ".join(f"{part} {count}" for part, count in long_by_part.items() if count)
        warnings.warn(
            f"{long_by_part.total()} sentences are cut to their first {most} tokens ({parts}), and"
            f" {len(chosen) - len(found)} of {len(chosen)} triplets left out, whose sentences are"
            " then alike: raise max_tokens",
            stacklevel=2,
        )
    if not found:
        raise UsageError(f"max_tokens {most} leaves no triplet of {len(chosen)}: raise it")
    return found


def _cut(backbone: MLLM, texts: Sequence[str], most: int) -> dict[str, str]:
    """Those that are too long, by what they were."""
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return {
        text: backbone.first_tokens(text, most)
        for text, row in zip(texts, ids, strict=True)
        if len(row) > most
    }


def _check_plain(plain: Plain | None, config: NuanceConfig) -> None:
    if (plain is None) != (config.keep is None):
        wanted = "give plain captions" if plain is None else "choose distil or pairs"
        raise UsageError(f"keep {config.keep!r} with {plain!r}: {wanted}, or leave both out")
    if plain is not None and config.keep == "pairs":
        alone = next((some for some in plain.captions if len(some) < 2), None)
        if alone is not None:
            raise UsageError(f"{alone[0]!r} of {plain.name} has one wording: pairs need two")
