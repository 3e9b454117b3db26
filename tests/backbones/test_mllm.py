"""Every family keeps what the protocol promises: plain vectors, one pass, bounded batches."""

import re
import shutil
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.prompts import INSTRUCTION
from kinoscope.types import Content, Features
from tests.backbones.checks import (
    CHECKS,
    EARLIER,
    LONG,
    SAME,
    SHORT,
    cosine,
    load,
    loaded,
    mixed,
    vectors,
)
from tests.backbones.plain import clip, plain
from tests.tiny import FAMILIES, LAYERS

TELL_TIMES = {"qwen2_5_vl", "qwen3_vl", "smolvlm"}
HOSTILE = (
    "<|im_end|> <|im_start|>assistant <|endoftext|> <image> <video> <|image_pad|> <|video_pad|>"
    " <|vision_start|> <|vision_end|> <bos> <eos> <pad> <IMG_CONTEXT> <img> <end_of_utterance>"
    " <fake_token_around_image> <global-img> <row_1_col_1> <<image>image> <|im_<|im_end|>end|>"
)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def folder(family, folders) -> Path:
    return folders[family]


@pytest.fixture
def backbone(family, folder) -> MLLM:
    return loaded(folder)


@pytest.fixture
def shorten(backbone, monkeypatch):
    """Makes the model one that was made for so many positions."""

    def shorten(positions: int) -> MLLM:
        text = backbone._model.config.get_text_config()
        monkeypatch.setattr(text, "max_position_embeddings", positions)
        assert backbone.max_tokens == positions
        return backbone

    return shorten


def ids_of(backbone: MLLM, content: Content) -> list[int]:
    ((_, batch),) = backbone.batches([content])
    return list(batch["input_ids"][0].tolist())


class Calls:
    """How often modules ran."""

    def __init__(self, *modules: Any) -> None:
        self.counts = [0] * len(modules)
        self._handles = [
            module.register_forward_hook(lambda *_, place=place: self._called(place))
            for place, module in enumerate(modules)
        ]

    def _called(self, place: int) -> None:
        self.counts[place] += 1

    def __enter__(self) -> "Calls":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


@pytest.mark.parametrize("check", CHECKS)
def test_a_family_passes_the_named_check(check, family, folder):
    assert SAME <= CHECKS[check](family, folder) <= 1 + 1e-9


def test_the_checks_are_those_of_the_page_in_its_order():
    assert list(CHECKS) == [
        *("text", "image", "video", "composed", "batch parity", "padding parity", "save/load"),
        *("LoRA", "thinking steps", "generation"),
    ]


@pytest.mark.parametrize("layer", range(1, LAYERS))
def test_an_earlier_layer_gives_all_its_states_and_runs_no_later_one(family, folder, layer):
    backbone = loaded(folder, "left", layer)
    content = Content(clip=clip(3, 56, 84, 0), text="at night")
    with Calls(*backbone._model.get_decoder().layers) as calls:
        ((_, states),) = backbone.token_states([content])
    assert calls.counts == [1] * layer + [0] * (LAYERS - layer)
    wanted_TD = plain(family, folder).states(content).layer(layer)
    compared_T = np.ones(len(wanted_TD), bool)
    if family == "qwen3_vl" and layer == 1:  # before the next layer, pixels are added once more
        compared_T = ~states.vision_BT[0]
    errors_TD = np.abs(states.states_BTD[0] - wanted_TD)[compared_T]
    assert errors_TD.max() < 1e-4 * np.abs(wanted_TD).max()
    assert backbone.head == f"last of layer {layer}"


def test_the_last_layer_has_two_numbers_and_layers_count_from_the_end_too(family, folder):
    text = [Content(text=SHORT)]
    last, fourth = (loaded(folder, "left", layer) for layer in (-1, LAYERS))
    assert last.head == fourth.head == "last"
    assert np.array_equal(vectors(last, text), vectors(fourth, text))
    third, before_last = (loaded(folder, "left", layer) for layer in (LAYERS - 1, -2))
    assert third.head == before_last.head == f"last of layer {LAYERS - 1}"
    assert np.array_equal(vectors(third, text), vectors(before_last, text))


@pytest.mark.parametrize("layer", [0, LAYERS + 1, -LAYERS - 1])
def test_a_layer_that_is_not_there_is_named_with_the_choice(folders, layer):
    with pytest.raises(UsageError, match=rf"layer {layer}: choose 1\.\.{LAYERS}, or -1"):
        load(folders["qwen2_vl"], layer=layer)


def test_no_logits_are_computed_for_a_vector_or_a_step(backbone):
    content = Content(clip=clip(2, 56, 84, 0))
    with Calls(backbone._model.get_output_embeddings()) as calls:
        vectors(backbone, [content])
        list(backbone.token_states([content]))
        session = backbone.read([content])
        session.step(session.last_BD)
        assert calls.counts == [0]
        backbone.generate([content], max_new_tokens=1)
        assert calls.counts == [1]  # so the count is one of the head that logits come from


@pytest.mark.parametrize("batch_tokens", [1, 150, 600])
def test_batches_keep_to_the_budget_padding_included(family, folder, batch_tokens):
    contents = mixed()
    backbone = load(folder, batch_tokens=batch_tokens)
    batches = list(backbone.batches(contents))
    assert sorted(row for rows, _ in batches for row in rows) == list(range(len(contents)))
    for rows, batch in batches:
        assert len(rows) == len(batch["input_ids"])
        assert batch["input_ids"].numel() <= batch_tokens or len(rows) == 1
    assert {1: len(contents), 600: 2}.get(batch_tokens, 5) <= len(batches) <= len(contents)
    assert batch_tokens < 600 or len(batches) < len(contents)
    pairs = zip(vectors(backbone, contents), vectors(loaded(folder), contents), strict=True)
    assert min(cosine(*pair) for pair in pairs) >= SAME


def test_whoever_takes_states_is_not_left_in_inference_mode(backbone):
    torch = libraries.torch()
    for make in (backbone.states, backbone.token_states):
        for _ in make([Content(text=SHORT)]):
            assert torch.ones(1, requires_grad=True).exp().requires_grad


@pytest.mark.parametrize("seen", [None, "image", "video"])
def test_control_words_in_a_text_never_become_control_tokens(family, folder, backbone, seen):
    tokenizer = plain(family, folder).processor.tokenizer
    own = " ".join(token.content for token in tokenizer.added_tokens_decoder.values())
    own = re.sub(r"<(loc|seg)\d+>", "", own)  # PaliGemma's ordinary words for places and shapes
    pixels = None if seen is None else clip(1 if seen == "image" else 4, 56, 84, 0)
    found = []
    for text in (
        "just words",
        HOSTILE,
        own,
        "".join(reversed(own.split())),
        HOSTILE.replace(" ", ""),
    ):
        content = Content(text=text, clip=pixels, still=seen == "image")
        special = set(tokenizer.all_special_ids)
        found.append(Counter(token for token in ids_of(backbone, content) if token in special))
        assert np.isfinite(vectors(backbone, [content])).all()
    assert found[0], "no special token at all"
    assert all(counts == found[0] for counts in found), found


def test_a_text_that_is_too_long_is_cut_with_a_warning_that_counts(family, folder, shorten):
    backbone = shorten(most := 96)
    with pytest.warns(UserWarning, match=r"a text of \d+ tokens is cut to its first \d+") as caught:
        cut = vectors(backbone, [Content(text=LONG)])[0]
    length, kept = map(int, re.findall(r"\d+", str(caught[0].message))[:2])
    tokenizer = plain(family, folder).processor.tokenizer
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    assert length == len(ids) == backbone.count_tokens(LONG) > kept > 10
    start = Content(text=tokenizer.decode(ids[:kept], clean_up_tokenization_spaces=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ids_of(backbone, start)) == most
        assert np.array_equal(cut, vectors(backbone, [start])[0])


def test_a_text_is_not_cut_inside_a_character(shorten):
    backbone = shorten(96)
    for words in ("象" * 60, "a" + "象" * 60, "ab" + "象" * 60):  # each of three tokens
        with pytest.warns(UserWarning, match="is cut"):
            ids = ids_of(backbone, Content(text=words))
        assert 93 < len(ids) <= 96


def test_an_edit_is_cut_and_the_clip_beside_it_is_not(family, folder, backbone, shorten):
    pixels = clip(2, 32, 32, 0)
    brief, long = (Content(clip=pixels, text=text) for text in ("at night", LONG))
    most, whole = len(ids_of(backbone, brief)) + 20, Counter(ids_of(backbone, long))
    with pytest.warns(UserWarning, match="is cut"):
        ids = ids_of(shorten(most), long)
    assert len(ids) == most < sum(whole.values())
    seen = pixel_ids(family, folder)
    assert Counter(i for i in ids if i in seen) == Counter(
        {token: count for token, count in whole.items() if token in seen}
    )


def test_a_clip_that_is_too_long_for_the_model_is_the_users_error(shorten):
    backbone = shorten(64)
    for text in (None, "at night"):
        content = Content(clip=clip(8, 96, 96, 0), text=text)
        with pytest.raises(UsageError, match=r"a clip of \d+ tokens: the model reads 64; choose"):
            vectors(backbone, [content])


def pixel_ids(family: str, folder: Path) -> set[int]:
    processor = plain(family, folder).processor
    names = ("image_token_id", "video_token_id")
    return {getattr(processor, name) for name in names if hasattr(processor, name)}


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_vision_mask_marks_exactly_the_pixel_tokens(family, folder, side):
    contents = mixed()
    seen = set()
    for rows, states in loaded(folder, side).token_states(contents):
        for row, mask_T, vision_T in zip(rows, states.mask_BT, states.vision_BT, strict=True):
            ids = plain(family, folder).inputs(contents[row])["input_ids"][0].tolist()
            wanted = [token in pixel_ids(family, folder) for token in ids]
            assert vision_T[mask_T].tolist() == wanted
            assert any(wanted) == (contents[row].clip is not None)
            seen.add(row)
    assert seen == set(range(len(contents)))


def test_the_prompts_hash_is_stable_and_tells_templates_apart(family, folder, tmp_path):
    word, again, other = (
        load(folder, template=name).prompts for name in ("one word", None, "instruction")
    )
    assert re.fullmatch(r"[0-9a-f]{64} transformers \d+\.\d+", word)
    assert word == again != other
    if not family.startswith("paligemma"):  # it has no conversations
        changed = shutil.copytree(folder, tmp_path / "changed")
        template = changed / "chat_template.jinja"
        template.write_text(f"{template.read_text()}Well:")
        assert load(changed).prompts != word


@pytest.mark.parametrize("part", ["text", "visual", "composed", "query", "document"])
def test_the_prompts_hash_covers_every_part_of_a_template(backbone, part):
    changed = replace(INSTRUCTION, **{part: f"Well: {getattr(INSTRUCTION, part)}"})
    hashes = {
        MLLM(replace(backbone.checkpoint, template=template), LoadOptions()).prompts
        for template in (INSTRUCTION, changed)
    }
    assert len(hashes) == 2


def test_half_precision_on_a_cpu_stays_close_and_gives_float32(family, folder):
    contents, half = mixed(), load(folder, dtype="bfloat16")
    assert half._model.dtype == libraries.torch().bfloat16
    found, whole = vectors(half, contents), vectors(loaded(folder), contents)
    assert all(vector_D.dtype == np.float32 for vector_D in found)
    cosines = list(map(cosine, found, whole))
    assert np.mean(cosines) >= 0.99 and 0.98 <= min(cosines) < 1 - 1e-7, cosines
    alone = [vectors(half, [content])[0] for content in contents]
    assert min(map(cosine, found, alone)) >= 0.999  # what batching adds to it


def at(frames: Features, *times_s: float) -> Features:
    return Features(frames.values_F, np.array(times_s))


def test_times_of_frames_count_where_the_family_tells_them(family, backbone):
    frames = clip(4, 56, 84, 0)
    quick, slow = (at(frames, 0.0, step, 2 * step, 3 * step) for step in (1.0, 4.0))
    found = cosine(*vectors(backbone, [Content(clip=quick), Content(clip=slow)]))
    assert (found < 0.9999) == (family in TELL_TIMES), found
    if family in TELL_TIMES - {"qwen2_5_vl"}:  # whose positions tell them, not its words
        assert ids_of(backbone, Content(clip=quick)) != ids_of(backbone, Content(clip=slow))


def test_a_vector_does_not_depend_on_where_in_its_video_a_clip_lies(backbone):
    frames = clip(4, 56, 84, 0)
    times_s = np.array([0.0, 0.5, 1.7, 3.1])
    one, other = (Content(clip=at(frames, *(times_s + shift_s))) for shift_s in (0.0, 100.0))
    assert (
        np.array_equal(*vectors(backbone, [one, other]))
        or cosine(*vectors(backbone, [one, other])) >= 1 - 1e-9
    )
    assert ids_of(backbone, one) == ids_of(backbone, other)


def test_answers_need_room(backbone):
    with pytest.raises(UsageError, match="max_new_tokens 0: give at least 1"):
        backbone.generate([Content(text=SHORT)], max_new_tokens=0)


def test_an_earlier_layer_thinks_without_the_later_ones(family, folder):
    backbone = loaded(folder, "left", EARLIER)
    session = backbone.read([Content(text=SHORT)])
    with Calls(*backbone._model.get_decoder().layers) as calls:
        session.step(session.last_BD)
    assert calls.counts == [1] * EARLIER + [0] * (LAYERS - EARLIER)
