"""Each adapter gives its family what the published checkpoints were trained on."""

import json
import re
import shutil
from dataclasses import replace
from inspect import getsourcefile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinoscope.backbones.families import FAMILIES, family_of, supported
from kinoscope.backbones.family import Family, Prompt, load_processor
from kinoscope.backbones.qwen_vl import Qwen25VL
from kinoscope.errors import UsageError
from kinoscope.types import Content, Features
from tests import tiny
from tests.backbones.checks import cosine, loaded, thinking_check, vectors
from tests.backbones.plain import clip, plain

QWENS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


def adapter(name: str, folder: Path, max_pixels: int | None = None) -> Family:
    kind = family_of(name.removesuffix("2") if name == "paligemma2" else name)
    assert kind is not None
    return kind(load_processor(str(folder)), max_pixels)


def user(*parts: str) -> list[dict[str, Any]]:
    """A message: `VIDEO` and `IMAGE` are pixels, other parts text."""
    content = [
        {"type": part.lower()} if part in ("VIDEO", "IMAGE") else {"type": "text", "text": part}
        for part in parts
    ]
    return [{"role": "user", "content": content}]


def video(clip: Features, *parts: str) -> Prompt:
    return Prompt(messages=user(*(parts or ("VIDEO", "what?"))), clip=clip, still=False)


def image(clip: Features, *parts: str) -> Prompt:
    return Prompt(messages=user(*(parts or ("IMAGE", "what?"))), clip=clip, still=True)


def text(words: str) -> Prompt:
    return Prompt(messages=user(words), clip=None, still=False)


def shown(family: Family, prompt: Prompt) -> str:
    """What the model reads."""
    return str(family.processor.tokenizer.decode(family.inputs(prompt)["input_ids"][0]))


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_every_tiny_checkpoint_has_its_adapter_by_its_own_config(name, folders):
    config = json.loads((folders[name] / "config.json").read_text())
    family = family_of(config["model_type"])
    assert family is not None and family.model_class == config["architectures"][0]
    assert config["model_type"] in supported().split(", ")


def test_a_model_type_has_one_adapter_and_foreign_ones_have_none():
    types = [name for family in FAMILIES for name in family.model_types]
    assert len(types) == len(set(types))
    assert supported() == ", ".join(types) + ", and Tarsier2"
    assert family_of("llama") is None


def test_an_adapter_has_at_most_150_lines_and_names_a_published_checkpoint():
    for family in FAMILIES:
        assert len(Path(getsourcefile(family)).read_text().splitlines()) <= 150
        assert re.fullmatch(r"[\w-]+/[\w.-]+", family.reference)


@pytest.mark.parametrize("name", [name for name in tiny.FAMILIES if "paligemma" not in name])
def test_without_a_chat_template_the_remedy_is_told(name, folders, tmp_path):
    bare = shutil.copytree(folders[name], tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match=r"no chat template \(\w[\w/.-]+ has one\): add its"):
        adapter(name, bare).inputs(text("a fox"))


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_frames_closer_than_a_tick_are_no_reason_to_fail(name, folders):
    close = Features(clip(3, 56, 84, 0).values_F, np.array([1.0, 1.0001, 1.0002]))
    assert adapter(name, folders[name]).inputs(video(close))["input_ids"].shape[1] > 10


@pytest.mark.parametrize("name", QWENS)
@pytest.mark.parametrize(("count", "pairs"), [(1, 1), (2, 1), (3, 2), (5, 3), (8, 4)])
def test_qwen_reads_frames_in_pairs_and_an_odd_last_one_twice(name, folders, count, pairs):
    family, frames = adapter(name, folders[name]), clip(count, 64, 96, 0)
    found = family.inputs(video(frames))
    assert found["video_grid_thw"][0, 0] == pairs
    even = np.concatenate([frames.values_F, frames.values_F[-1:]])[: 2 * pairs]
    wanted = family.inputs(video(Features(even, 0.5 * np.arange(2.0 * pairs))))
    assert found["pixel_values_videos"].equal(wanted["pixel_values_videos"])


@pytest.mark.parametrize("name", QWENS)
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("max_pixels", [64 * 64, 128 * 160])
def test_qwen_holds_every_frame_to_the_bound_on_pixels(name, folders, count, max_pixels):
    family = adapter(name, folders[name], max_pixels)
    side = family.processor.video_processor.patch_size
    frames = clip(count, 256, 320, 0)
    grids = [family.inputs(video(frames))["video_grid_thw"][0]]
    grids += [family.inputs(image(frames.take([0])))["image_grid_thw"][0]]
    for grid in grids:
        pixels = int(grid[1] * grid[2]) * side**2
        assert max_pixels / 3 < pixels <= max_pixels


@pytest.mark.parametrize(
    ("times_s", "pair_s"),
    [((0.0, 0.5, 1.0, 1.5), 1.0), ((3.0, 3.25, 7.0, 9.0), 4.0), ((5.0, 65.0), 120.0)],
)
def test_qwen2_5_is_told_the_true_time_between_pairs(folders, times_s, pair_s):
    class Misled(Qwen25VL):
        """Its processor is told of a faster camera, so that its own estimate is wrong."""

        def metadata(self, prompt: Prompt) -> Any:
            return replace(super().metadata(prompt), fps=24_000.0)

    frames = Features(clip(len(times_s), 56, 84, 0).values_F, np.array(times_s))
    for kind in (Qwen25VL, Misled):
        family = kind(load_processor(str(folders["qwen2_5_vl"])), None)
        found = family.inputs(video(frames))
        assert found["second_per_grid_ts"].tolist() == [pair_s]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_qwen3_has_one_start_and_one_end_for_each_pair_of_frames(folders, count):
    family = adapter("qwen3_vl", folders["qwen3_vl"])
    found = family.inputs(video(clip(count, 64, 96, 0)))
    ids = found["input_ids"][0].tolist()
    tokenizer = family.processor.tokenizer
    start, end = tokenizer.convert_tokens_to_ids(["<|vision_start|>", "<|vision_end|>"])
    assert ids.count(start) == ids.count(end) == int(found["video_grid_thw"][0, 0])


def test_qwen3_reads_the_time_of_each_pair_before_it_and_nothing_around_them(folders):
    family = adapter("qwen3_vl", folders["qwen3_vl"])
    frames = Features(clip(5, 64, 96, 0).values_F, np.array([7.0, 7.4, 10.0, 12.0, 20.0]))
    read = re.sub(r"(<\|video_pad\|>)+", "_", shown(family, video(frames, "look: ", "VIDEO", "!")))
    pairs = "".join(
        f"<{time} seconds><|vision_start|>_<|vision_end|>" for time in ("0.2", "4.0", "13.0")
    )
    assert read == f"<|im_start|>user\nlook: {pairs}!<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("name", QWENS)
def test_qwen_keeps_start_and_end_around_a_picture(name, folders):
    read = shown(adapter(name, folders[name]), image(clip(1, 64, 96, 0)))
    assert re.search(r"user\n<\|vision_start\|>(<\|image_pad\|>)+<\|vision_end\|>what\?", read)


def test_qwen2_5_goes_on_behind_the_last_token_where_a_slow_video_runs_ahead(folders):
    backbone = loaded(folders["qwen2_5_vl"])
    slow = Content(clip=clip(4, 56, 84, 3, step_s=20.0))
    ((_, batch),) = backbone.batches([slow])
    family = adapter("qwen2_5_vl", folders["qwen2_5_vl"])
    positions_3BT = family.position_ids(backbone._core, batch)
    assert positions_3BT[0].max() > positions_3BT[0, 0, -1]  # or the check of steps shows nothing
    assert backbone.read([slow])._next.flatten().tolist() == [positions_3BT[0, 0, -1] + 1] * 3


def test_smolvlm_reads_whole_seconds_before_each_frame_of_a_video_only(folders):
    family = adapter("smolvlm", folders["smolvlm"])
    frames = Features(clip(3, 56, 84, 0).values_F, np.array([9.0, 10.5, 72.9]))
    read = shown(family, video(frames))
    assert re.findall(r"Frame from (\d\d:\d\d):", read) == ["00:00", "00:01", "01:03"]
    assert "series of three frames from a 0:01:35 [H:MM:SS] video" in read
    assert "Frame from" not in shown(family, image(frames.take([0])))


def test_smolvlm_and_internvl_cut_pictures_into_tiles_and_frames_not(folders):
    for name, axis in (("smolvlm", 1), ("internvl", 0)):
        family, wide = adapter(name, folders[name]), clip(5, 32, 128, 0)
        assert family.inputs(video(wide))["pixel_values"].shape[axis] == 5
        assert family.inputs(image(wide.take([0])))["pixel_values"].shape[axis] > 1


def test_internvl_numbers_the_frames(folders):
    read = shown(adapter("internvl", folders["internvl"]), video(clip(3, 56, 84, 0)))
    assert re.findall(r"Frame(\d): <img>(?:<IMG_CONTEXT>){4}</img>", read) == ["1", "2", "3"]


def test_llava_onevision_lets_only_equal_shapes_share_a_batch(folders):
    family = adapter("llava_onevision", folders["llava_onevision"])
    prompts = [
        *(video(clip(count, height, 84, 0)) for count, height in ((4, 56), (4, 90), (3, 56))),
        *(image(clip(1, height, width, 0)) for height, width in ((32, 32), (32, 120))),
    ]
    four, other_four, three, square, wide = (family.bucket(family.inputs(p)) for p in prompts)
    assert four == other_four
    assert len({four, three, square, wide}) == 4
    assert family.bucket(family.inputs(text("a fox"))) is None


def test_llava_onevision_reads_clips_of_several_lengths_apart(folders):
    backbone = loaded(folders["llava_onevision"])
    contents = [Content(clip=clip(count, 56, 84, 0)) for count in (3, 4)]
    with pytest.raises(UsageError, match="frames of several shapes: read them apart"):
        backbone.read(contents)
    assert len(backbone.read([contents[0], Content(text="a fox")])) == 2


def test_llava_onevision_has_four_tokens_a_frame_and_one_behind_the_last(folders):
    family = adapter("llava_onevision", folders["llava_onevision"])
    assert shown(family, video(clip(3, 56, 84, 0))).count("<video>") == 3 * 4 + 1


@pytest.mark.parametrize("name", ["paligemma", "paligemma2"])
def test_paligemma_reads_pixels_then_all_texts_in_their_order(name, folders):
    family, frames = adapter(name, folders[name]), clip(3, 56, 84, 0)
    parts = ("Source video: ", "VIDEO", "\nat night")
    messages = [{"role": "system", "content": [{"type": "text", "text": "Look."}]}, *user(*parts)]
    prompt = Prompt(messages=messages, clip=frames, still=False)
    seen = "<image>" * (3 * tiny.PATCHES)
    assert shown(family, prompt) == f"{seen}<bos>Look.\nSource video: \nat night\n"
    assert shown(family, text("a fox")) == "<bos>a fox\n"
    for found in (family.inputs(prompt), family.inputs(text("a fox"))):
        assert not found["token_type_ids"].any()
        assert "labels" not in found


@pytest.mark.parametrize("name", ["qwen2_vl", "paligemma", "paligemma2"])
def test_only_in_paligemma_the_first_token_sees_the_last_word(name, folders):
    backbone = loaded(folders[name])
    states = [
        next(backbone.token_states([Content(text=words)]))[1].states_BTD[0, 0]
        for words in ("a fox runs", "a fox sits")
    ]
    assert (cosine(*states) < 0.999) == name.startswith("paligemma")


def test_paligemma_counts_positions_from_one(folders):
    backbone = loaded(folders["paligemma"])
    family = adapter("paligemma", folders["paligemma"])
    for _, batch in backbone.batches([Content(text="a fox"), Content(text="the door opens")]):
        positions_BT = family.position_ids(None, batch)
        real_BT = batch["attention_mask"].bool()
        for positions_T, real_T in zip(positions_BT, real_BT, strict=True):
            assert positions_T[real_T].tolist() == list(range(1, int(real_T.sum()) + 1))


def test_paligemma_2_steps_where_the_prompt_is_longer_than_the_sliding_window(folders, tmp_path):
    narrow = shutil.copytree(folders["paligemma2"], tmp_path / "narrow")
    config = json.loads((narrow / "config.json").read_text())
    assert config["text_config"]["sliding_window"] > 1000
    config["text_config"]["sliding_window"] = 24
    (narrow / "config.json").write_text(json.dumps(config))
    long = Content(clip=clip(4, 56, 84, 1))
    behind = [
        plain("paligemma2", folder).states(long, (7,)).vector_D
        for folder in (narrow, folders["paligemma2"])
    ]
    assert cosine(*behind) < 0.999  # or the window of the narrow one is not felt
    assert thinking_check("paligemma2", narrow) >= 0.9999


@pytest.mark.parametrize("name", QWENS)
def test_a_single_frame_is_a_video_of_its_own_not_a_picture(name, folders):
    frame = clip(1, 64, 96, 0)
    backbone = loaded(folders[name])
    moving, still = (Content(clip=frame, still=flag) for flag in (False, True))
    assert cosine(*vectors(backbone, [moving, still])) < 0.999
    ids = plain(name, folders[name]).inputs(moving)["input_ids"]
    assert next(backbone.batches([moving]))[1]["input_ids"].equal(ids)
