"""`concepts`: a frame is the sentence vectors of its likeliest ImageNet classes, weighted."""

import json
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kinoscope.batching import by_length, packed
from kinoscope.errors import UsageError
from kinoscope.prompts import CLASS_NAME, prompts_hash
from kinoscope.runtime import open_session, usable_cores
from kinoscope.types import Content, Features, Float32, Frames, Int64, Kind, States, UInt8
from kinoscope.weights import CLASSES, SIDE_PX, ConceptsFiles

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

TOP = 50
"""Classes that speak for a frame; their probabilities are scaled to sum to one."""

_VISION_BATCH = 8
_BATCH_TOKENS = 4096  # of clips, whose tokens are frames
_BATCH_TEXT_TOKENS = 1024
_MAX_TOKENS = 256  # what MiniLM was trained on; its position table would hold 512


class Concepts:
    """EfficientNet-Lite2 and MiniLM behind the `Backbone` protocol, on ONNX Runtime alone.

    Sees the 1000 classes of ImageNet in each frame: no people, no actions, no order of events.
    Each tower loads on first use: a query never loads the vision tower, nor indexing the other.
    """

    model = "concepts"
    head = "mean"
    kinds: frozenset[Kind] = frozenset({"text", "image", "video"})
    max_tokens = _MAX_TOKENS
    limits = (
        "names the 1000 kinds of things of ImageNet: animals, vehicles, tools, food, clothes",
        "has no notion of a person, an action, a colour or a count",
    )

    def __init__(self, files: ConceptsFiles, *, threads: int | None = None) -> None:
        """`files` as `weights.model_files()` found them; `threads` defaults to one a core."""
        if threads is not None and threads < 1:
            raise UsageError(f"threads {threads}: need at least one")
        self._files = files
        self._threads = threads or usable_cores()

    @property
    def weights(self) -> str:
        """SHA-256 over the pinned sources."""
        return self._files.weights

    @property
    def prompts(self) -> str:
        """SHA-256 of the class sentence and of how many classes speak."""
        return prompts_hash(CLASS_NAME, f"top {TOP}")

    @property
    def dimension(self) -> int:
        """384, that of MiniLM."""
        return int(self._class_vectors_CD.shape[1])

    @cached_property
    def centre_D(self) -> Float32:
        """Mean of the unit class vectors [384]: what all photos of anything have in common."""
        return np.asarray(self._class_vectors_CD.mean(axis=0), np.float32)

    def vision(self, frames: Frames) -> Features:
        """One row a frame [F, 384]: its class vectors, weighted by probability; not unit length.

        Raises `UsageError` unless frames are 260 x 260.
        """
        top_FK, chances_FK = self._top_classes(frames, TOP)
        weights_FC = np.zeros((len(frames), CLASSES), np.float32)
        shares_FK = chances_FK / chances_FK.sum(axis=1, keepdims=True)
        np.put_along_axis(weights_FC, top_FK, shares_FK, axis=1)
        return Features(weights_FC @ self._class_vectors_CD, frames.times_F)

    def probabilities(self, frames: Frames) -> Float32:
        """Class probabilities of each frame [F, 1000]; `UsageError` unless it is 260 x 260."""
        rgb_FHWC = _square(frames)
        batches = [
            self._vision_session.run(None, {"rgb_FHWC": rgb_FHWC[i : i + _VISION_BATCH]})[0]
            for i in range(0, len(rgb_FHWC), _VISION_BATCH)
        ]
        return np.concatenate([np.empty((0, CLASSES), np.float32), *batches])

    def labels(self, frames: Frames, top: int = TOP) -> list[list[tuple[str, float]]]:
        """The `top` likeliest class names of each frame with their probabilities, best first.

        ImageNet has two classes named "missile" and two named "sunglasses": they may come twice.
        """
        if not 1 <= top <= CLASSES:
            raise UsageError(f"top {top}: choose 1..{CLASSES} classes")
        top_FK, chances_FK = self._top_classes(frames, top)
        return [
            [(self._class_names[c], float(p)) for c, p in zip(classes, chances, strict=True)]
            for classes, chances in zip(top_FK, chances_FK, strict=True)
        ]

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """Texts apart from clips, each by length: row numbers and their states [B, T, 384]."""
        clips = {n: content.clip for n, content in enumerate(contents) if content.clip is not None}
        texts = {n: content.text for n, content in enumerate(contents) if content.text is not None}
        frames = {n: len(clip) for n, clip in clips.items()}
        for rows in _packs(frames, _BATCH_TOKENS):
            yield rows, self.video([clips[n] for n in rows])
        tokens = {n: min(self.count_tokens(text), _MAX_TOKENS) for n, text in texts.items()}
        for rows in _packs(tokens, _BATCH_TEXT_TOKENS):
            yield rows, self.text([texts[n] for n in rows])

    def video(self, clips: Sequence[Features]) -> States:
        """The rows of each clip's frames as its states [B, T, 384]; T is the longest clip's."""
        return _padded([np.asarray(clip.values_F, np.float32) for clip in clips])

    def text(self, texts: Sequence[str]) -> States:
        """MiniLM's last layer [B, T, 384], [CLS] and [SEP] included.

        Warns when a text has more than 256 tokens: only the first 256 are read.
        """
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        long = [len(ids) for ids in tokens if len(ids) > _MAX_TOKENS]
        if long:
            warnings.warn(
                f"{len(long)} of {len(texts)} texts are cut to their first {_MAX_TOKENS} tokens;"
                f" the longest has {max(long)}",
                stacklevel=2,
            )
        ids_BT, mask_BT = _token_table([_cut(ids) for ids in tokens])
        feed = {"ids_BT": ids_BT, "mask_BT": mask_BT}
        (states_BTD,) = self._text_session.run(["states_BTD"], feed)
        return States(states_BTD, mask_BT.astype(np.bool_))

    def count_tokens(self, text: str) -> int:
        """Length of `text` in WordPiece tokens, [CLS] and [SEP] included, before any cut."""
        return len(self._tokenizer.encode(text).ids)

    def _top_classes(self, frames: Frames, top: int) -> tuple[Int64, Float32]:
        """Class numbers and probabilities [F, top], best first; ties go to the lower number."""
        probabilities_FC = self.probabilities(frames)
        top_FK = np.argsort(-probabilities_FC, axis=1, kind="stable")[:, :top]
        return top_FK, np.take_along_axis(probabilities_FC, top_FK, axis=1)

    @cached_property
    def _vision_session(self) -> "InferenceSession":
        return open_session(self._files.vision, self._threads)

    @cached_property
    def _text_session(self) -> "InferenceSession":
        return open_session(self._files.text, self._threads)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._files.tokenizer))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _class_vectors_CD(self) -> Float32:
        vectors_CD: Float32 = np.load(self._files.class_vectors, allow_pickle=False)
        return vectors_CD

    @cached_property
    def _class_names(self) -> list[str]:
        names: list[str] = json.loads(self._files.class_names.read_text(encoding="utf-8"))
        return names


def _packs(sizes: dict[int, int], budget: int) -> Iterator[list[int]]:
    """Rows in batches of like size: `{row: tokens}` -> lists of rows."""
    rows = list(sizes)
    ordered = (rows[n] for n in by_length(list(sizes.values())))
    return packed(ordered, sizes.__getitem__, budget)


def _square(frames: Frames) -> UInt8:
    height, width = frames.rgb_FHWC.shape[1:3]
    if (height, width) != (SIDE_PX, SIDE_PX):
        raise UsageError(
            f"frames of {width}x{height} px: the concepts model reads {SIDE_PX}x{SIDE_PX}"
        )
    return frames.rgb_FHWC


def _cut(ids: list[int]) -> list[int]:
    """At most 256 tokens, of which the last stays [SEP]."""
    return ids if len(ids) <= _MAX_TOKENS else [*ids[: _MAX_TOKENS - 1], ids[-1]]


def _token_table(tokens: Sequence[list[int]]) -> tuple[Int64, Int64]:
    """Rows of unequal length as ids and mask [B, T], padded with [PAD], which is 0."""
    ids_BT = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
    mask_BT = np.zeros_like(ids_BT)
    for row, ids in enumerate(tokens):
        ids_BT[row, : len(ids)] = ids
        mask_BT[row, : len(ids)] = 1
    return ids_BT, mask_BT


def _padded(rows: Sequence[Float32]) -> States:
    """Clips [T, D] of unequal length as one block [B, T, D], zeros where the mask is false."""
    shape = (len(rows), max(map(len, rows)), rows[0].shape[1])
    states_BTD = np.zeros(shape, np.float32)
    mask_BT = np.zeros(shape[:2], np.bool_)
    for b, values_TD in enumerate(rows):
        states_BTD[b, : len(values_TD)] = values_TD
        mask_BT[b, : len(values_TD)] = True
    return States(states_BTD, mask_BT)
