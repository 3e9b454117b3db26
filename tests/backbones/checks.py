"""Named checks of a checkpoint in its family's adapter, for the tests and for the backbones page.

Each takes the family's name in `tests.tiny` and a checkpoint's folder, compares with the plain way
of `tests.backbones.plain`, and returns the least cosine that it saw; what fails is an
`AssertionError`.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope import libraries
from kinoscope.backbones.family import Batch
from kinoscope.backbones.loading import load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions, Side
from kinoscope.backbones.session import last_states
from kinoscope.types import Content, Features
from tests.backbones.plain import Plain, PlainStates, clip, plain

SAME, OTHER = 0.9999, 0.999  # least cosine of equal vectors, most of different ones
SIDES: tuple[Side, ...] = ("left", "right")
EARLIER = 2  # an intermediate layer
LORA_TARGETS = r".*(language_model|text_model)\.layers\.\d+\.self_attn\.[qkvo]_proj"
SHORT, LONG = "a fox", "the door opens, then the door closes and " * 8 + "the snow falls"


def text_check(family: str, folder: Path) -> float:
    """Vectors of texts are those of the plain way, and differ between texts."""
    one, other, long = (Content(text=text) for text in ("a fox runs", "a door opens", LONG))
    _differ(folder, (one, other), (one, long))
    return _as_plain(family, folder, [one, other, long])


def image_check(family: str, folder: Path) -> float:
    """Vectors of pictures are those of the plain way, and differ between pictures."""
    clips = (clip(1, *size, seed) for seed, size in enumerate(((56, 84), (56, 84), (90, 40))))
    one, other, tall = (Content(clip=picture, still=True) for picture in clips)
    _differ(folder, (one, other), (one, tall))
    return _as_plain(family, folder, [one, other, tall])


def video_check(family: str, folder: Path) -> float:
    """Vectors of clips of any length are those of the plain way; pixels and order count."""
    one, other = (Content(clip=clip(8, 56, 84, seed)) for seed in (0, 1))
    backwards = Content(clip=_backwards(one.clip))
    _differ(folder, (one, other), (one, backwards))
    shorter = [Content(clip=clip(count, 64, 48, count)) for count in (1, 2, 3, 6)]
    return _as_plain(family, folder, [one, other, backwards, *shorter])


def composed_check(family: str, folder: Path) -> float:
    """Vectors of a clip with an edit are those of the plain way; both count."""
    beach, other = (clip(4, 56, 84, seed) for seed in (0, 1))
    night, rain = (Content(clip=beach, text=edit) for edit in ("at night", "in the rain"))
    other_night, bare = Content(clip=other, text="at night"), Content(clip=beach)
    picture = Content(clip=beach.take([0]), still=True, text="at night")
    _differ(folder, (night, rain), (night, other_night), (night, bare), (night, picture))
    return _as_plain(family, folder, [night, rain, other_night, picture])


def batch_check(family: str, folder: Path) -> float:
    """Vectors of a mixed batch are those of each content alone, in the plain way."""
    contents, backbone = mixed(), loaded(folder)
    largest = max(len(rows) for rows, _ in padded(backbone, contents))
    assert largest == (3 if family == "llava_onevision" else len(contents)), largest
    wanted = plain_vectors(family, folder, contents)
    return min(_least(make(backbone, contents), wanted) for make in (vectors, together))


def padding_check(family: str, folder: Path) -> float:
    """Vectors do not depend on the side of the padding, nor do those of an earlier layer."""
    contents, reference = mixed(), plain(family, folder)
    cosines = []
    for layer in (-1, EARLIER):
        wanted = [reference.states(content).layer(layer)[-1] for content in contents]
        for side in SIDES:
            backbone = loaded(folder, side, layer)
            assert _padded_at(backbone, contents) == {"left": 0, "right": -1}[side]
            cosines.append(_least(together(backbone, contents), wanted))
    return min(cosines)


def save_check(family: str, folder: Path) -> float:
    """A checkpoint that Transformers saved again gives the same vectors, and still answers."""
    contents, reference = mixed(), plain(family, folder)
    with tempfile.TemporaryDirectory() as again:
        reference.model.save_pretrained(again)
        reference.processor.save_pretrained(again)
        found = vectors(load(Path(again)), contents)
        answers = [Plain.load(family, Path(again)).answer(item, 6) for item in questions()]
    assert answers == [reference.answer(item, 6) for item in questions()]
    least = _least(found, vectors(loaded(folder), contents))
    assert least >= 0.999999, least
    return least


def lora_check(family: str, folder: Path) -> float:
    """With an adapter merged into the weights, vectors are those of the model that wears it."""
    torch, peft = libraries.torch(), libraries.imported("peft")
    contents, bare = mixed(), Plain.load(family, folder)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=LORA_TARGETS)
    with warnings.catch_warnings():  # PEFT asks Transformers by a name that is about to go
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        worn = peft.get_peft_model(bare.model, config).eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for name, values in worn.named_parameters():
            if "lora_B" in name:
                values.normal_(std=0.2)
    reference = Plain(family=family, processor=bare.processor, model=worn)
    wanted = [reference.states(content).vector_D for content in contents]
    without = vectors(loaded(folder), contents)
    assert max(map(cosine, without, wanted)) < OTHER, "the adapter changes nothing"
    with tempfile.TemporaryDirectory() as adapter:
        worn.save_pretrained(adapter)
        return _least(vectors(load(folder, adapter=Path(adapter)), contents), wanted)


def thinking_check(family: str, folder: Path) -> float:
    """Steps behind a prompt are what one pass over prompt and tokens gives.

    For rows of different lengths, padded on either side, of the last and of an earlier layer, also
    after some rows have left; a gradient reaches what a step reads.
    """
    cosines = [
        _steps_as_plain(family, folder, loaded(folder, side, layer))
        for side in SIDES
        for layer in (-1, EARLIER)
    ]
    _gradient_flows(loaded(folder))
    return min(*cosines, _logits_as_plain(family, folder))


def generation_check(family: str, folder: Path) -> float:
    """Answers of a batch are those of Transformers' `generate`, one by one: the share of these."""
    reference = plain(family, folder)
    wanted = [reference.answer(content, 6) for content in questions()]
    assert len(set(wanted)) == len(wanted), wanted
    answers = loaded(folder).generate(questions(), max_new_tokens=6)
    assert answers == wanted, (answers, wanted)
    return float(np.mean([one == other for one, other in zip(answers, wanted, strict=True)]))


CHECKS: dict[str, Callable[[str, Path], float]] = {
    "text": text_check,
    "image": image_check,
    "video": video_check,
    "composed": composed_check,
    "batch parity": batch_check,
    "padding parity": padding_check,
    "save/load": save_check,
    "LoRA": lora_check,
    "thinking steps": thinking_check,
    "generation": generation_check,
}
"""By name, in the order of the page."""


def mixed() -> list[Content]:
    """Eleven rows of every kind, of very different lengths and aspect ratios."""
    shapes = ((1, 56, 56), (3, 48, 96), (6, 96, 40), (8, 64, 64), (8, 72, 56))
    return [
        Content(text=SHORT),
        Content(clip=clip(8, 64, 60, 8), text="at night"),
        Content(text=LONG),
        *(Content(clip=clip(*shape, seed)) for seed, shape in enumerate(shapes)),
        Content(clip=clip(1, 56, 84, 0), still=True),
        Content(text="the door opens, then the door closes"),
        Content(clip=clip(1, 84, 48, 9), still=True, text="in the rain"),
    ]


def questions() -> list[Content]:
    """To answer: with and without pixels."""
    return [
        Content(text="what happens first?"),
        Content(clip=clip(4, 56, 84, 0), text="what happens after that?"),
        Content(clip=clip(1, 64, 64, 1), still=True, text="is there a cat?"),
        Content(clip=clip(2, 48, 96, 2), text=LONG),
    ]


@cache
def loaded(folder: Path, side: Side = "left", layer: int = -1) -> MLLM:
    """The backbone of a checkpoint, made once a run."""
    return load(folder, padding_side=side, layer=layer)


def load(folder: Path, **options: Any) -> MLLM:
    """The backbone of a checkpoint, with options of `LoadOptions`."""
    return load_backbone(str(folder), LoadOptions(**options))[0]


def vectors(backbone: MLLM, contents: Sequence[Content]) -> list[np.ndarray]:
    """One vector [D] a content, in their order, not normalised."""
    found: dict[int, np.ndarray] = {}
    for rows, states in backbone.states(contents):
        assert states.states_BTD.shape[:2] == (len(rows), 1)
        assert not found.keys() & set(rows), "a row came twice"
        found |= zip(rows, states.states_BTD[:, 0], strict=True)
    return [found[row] for row in range(len(contents))]


def together(backbone: MLLM, contents: Sequence[Content]) -> list[np.ndarray]:
    """The same by way of `padded`."""
    found: dict[int, np.ndarray] = {}
    for rows, batch in padded(backbone, contents):
        with libraries.torch().inference_mode():
            last_BD = last_states(backbone.hidden(batch), batch["attention_mask"])
        found |= zip(rows, last_BD.numpy(), strict=True)
    return [found[row] for row in range(len(contents))]


def padded(backbone: MLLM, contents: Sequence[Content]) -> Iterator[tuple[list[int], Batch]]:
    """All rows that may share a batch in one, however much of it is padding.

    `MLLM.batches` would part them by length; `MLLM.read` does not.
    """
    family, side = backbone.checkpoint.family, backbone.options.padding_side
    prepared = [backbone.prepare(content) for content in contents]
    buckets = [family.bucket(inputs) for inputs in prepared]
    for bucket in dict.fromkeys(buckets):
        rows = [row for row, other in enumerate(buckets) if other == bucket]
        yield rows, family.join([prepared[row] for row in rows], side, backbone.pad_id)


def plain_vectors(family: str, folder: Path, contents: Sequence[Content]) -> list[np.ndarray]:
    """Those of the plain way, each content alone."""
    return [plain(family, folder).states(content).vector_D for content in contents]


def cosine(one_D: np.ndarray, other_D: np.ndarray) -> float:
    """In double precision, so that 1 - 1e-9 is seen."""
    one_D, other_D = np.float64(one_D), np.float64(other_D)
    return float(one_D @ other_D / np.linalg.norm(one_D) / np.linalg.norm(other_D))


def _least(found: Iterable[np.ndarray], wanted: Iterable[np.ndarray]) -> float:
    """The least cosine of pairs; asserts that it is that of equal vectors."""
    cosines = [cosine(one_D, other_D) for one_D, other_D in zip(found, wanted, strict=True)]
    assert min(cosines) >= SAME, cosines
    return min(cosines)


def _as_plain(family: str, folder: Path, contents: Sequence[Content]) -> float:
    backbone = loaded(folder)
    alone = [vectors(backbone, [content])[0] for content in contents]
    return _least(alone, plain_vectors(family, folder, contents))


def _differ(folder: Path, *pairs: tuple[Content, Content]) -> None:
    for pair in pairs:
        found = cosine(*vectors(loaded(folder), pair))
        assert found < OTHER, (pair, found)


def _backwards(forwards: Features | None) -> Features:
    """The same times, the frames from the last to the first."""
    assert forwards is not None
    return Features(forwards.values_F[::-1].copy(), forwards.times_F)


def _padded_at(backbone: MLLM, contents: Sequence[Content]) -> int:
    """Where a batch's shorter rows are padded: column 0 or column -1."""
    masks = [batch["attention_mask"].bool() for _, batch in padded(backbone, contents)]
    columns = {column for column in (0, -1) for mask_BT in masks if not mask_BT[:, column].all()}
    assert len(columns) == 1, "no padding, or on both sides"
    return columns.pop()


def _thoughts() -> tuple[list[Content], np.ndarray]:
    """Rows whose pixels may share a batch in every family, and three token ids for each.

    The times of one clip lie far apart: where positions count seconds, the video's run ahead.
    """
    slow = clip(4, 56, 84, 3, step_s=300.0)
    rows = [
        Content(text=SHORT),
        Content(clip=clip(4, 56, 84, 1)),
        Content(clip=slow, text="at night"),
        Content(text=LONG),
    ]
    return rows, np.array([[11, 120, 301], [45, 45, 9], [260, 17, 88], [3, 333, 204]])


def _steps_as_plain(family: str, folder: Path, backbone: MLLM) -> float:
    torch = libraries.torch()
    contents, ids_BK = _thoughts()
    layer = -1 if backbone.head == "last" else EARLIER
    reference = plain(family, folder)

    def wanted(row: int, steps: int) -> np.ndarray:
        thoughts = tuple(ids_BK[row, :steps].tolist())
        return np.asarray(reference.states(contents[row], thoughts).layer(layer)[-1])

    rows, cosines = list(range(len(contents))), []
    with torch.inference_mode():
        session = backbone.read(contents)
        cosines.append(_least(session.last_BD.numpy(), [wanted(row, 0) for row in rows]))
        for step in range(ids_BK.shape[1]):
            if step == 2:  # others leave, the rest change places
                kept = [3, 0, 2]
                session.keep(kept)
                rows = kept
                assert len(session) == len(rows)
            inputs_BD = backbone.embed_tokens(torch.from_numpy(ids_BK[rows, step]))
            states_BD = session.step(inputs_BD)
            assert states_BD.equal(session.last_BD)
            cosines.append(_least(states_BD.numpy(), [wanted(row, step + 1) for row in rows]))
    return min(cosines)


def _gradient_flows(backbone: MLLM) -> None:
    """From the state after two steps to the first input, row by row and to no other row."""
    torch = libraries.torch()
    contents, ids_BK = _thoughts()
    session = backbone.read(contents)
    inputs_BD = backbone.embed_tokens(torch.from_numpy(ids_BK[:, 0])).detach().requires_grad_()
    session.step(inputs_BD)
    last_BD = session.step(backbone.embed_tokens(torch.from_numpy(ids_BK[:, 1])))
    for row in range(len(contents)):
        (slopes_BD,) = torch.autograd.grad(last_BD[row].sum(), inputs_BD, retain_graph=True)
        assert slopes_BD.isfinite().all()
        reached = slopes_BD.abs().amax(dim=1) > 1e-6
        assert reached.tolist() == [other == row for other in range(len(contents))], reached


def _logits_as_plain(family: str, folder: Path) -> float:
    """Rows of the head, times a state, are the whole model's logits of these tokens."""
    torch, backbone = libraries.torch(), loaded(folder)
    content, ids_K = Content(clip=clip(4, 56, 84, 1)), torch.tensor([7, 300, 41, 8])
    with torch.inference_mode():
        scores_K = (backbone.read([content]).last_BD @ backbone.head_rows(ids_K).T)[0]
    states: PlainStates = plain(family, folder).states(content)
    bound = getattr(
        plain(family, folder).model.config.get_text_config(), "final_logit_softcapping", None
    )
    if bound is not None:  # PaliGemma 2: `head_rows` is what comes before
        scores_K = bound * torch.tanh(scores_K / bound)
    wanted_K = states.logits_C[ids_K.numpy()]
    assert np.ptp(wanted_K) > 0.1, wanted_K
    assert np.allclose(scores_K.numpy(), wanted_K, atol=1e-3), (scores_K, wanted_K)
    return cosine(scores_K.numpy(), wanted_K)
