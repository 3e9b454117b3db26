"""What goes to an embeddings server and what comes back: times, pictures, words, vectors."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kinoscope.backbones.family import Prompt
from kinoscope.backbones.openai_wire import (
    bare_text,
    conversation,
    frame_times,
    prompt_of,
    read_embeddings,
)
from kinoscope.errors import SetupError
from kinoscope.prompts import INSTRUCTION, ONE_WORD
from kinoscope.types import Content, Features
from tests.tiny import moving_frames


def clip(times) -> Features:
    frames = moving_frames(len(times), 40, 56, 0)
    return Features(frames.rgb_FHWC, np.array(times, float))


def url_of(content: Content) -> str:
    body = conversation(prompt_of(ONE_WORD, content))
    (part,) = [part for part in body["messages"][-1]["content"] if part["type"] != "text"]
    return part[part["type"]]["url"]


def pictures(data: str) -> np.ndarray:
    opened = [Image.open(io.BytesIO(base64.b64decode(part))) for part in data.split(",")]
    assert all(picture.format == "PNG" for picture in opened)
    return np.stack([np.asarray(picture) for picture in opened])


def test_frames_are_sent_without_loss_in_one_url() -> None:
    video = clip([0, 1, 2])
    head, _, data = url_of(Content(clip=video)).partition(",")
    assert head == "data:video/jpeg;base64"
    assert np.array_equal(pictures(data), video.values_F)
    head, _, data = url_of(Content(clip=video.take([1]), still=True)).partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(pictures(data), video.values_F[[1]])


def test_a_lone_frame_of_a_video_is_sent_twice() -> None:
    data = url_of(Content(clip=clip([0.0]))).partition(",")[2]
    assert len(pictures(data)) == 2


def test_a_conversation_asks_for_the_answer_s_beginning_and_for_no_sampling() -> None:
    video = conversation(prompt_of(ONE_WORD, Content(clip=clip([0, 0.5, 1]))))
    assert video["add_generation_prompt"] is True
    assert video["mm_processor_kwargs"] == {"do_sample_frames": False, "fps": 2.0}
    text = conversation(prompt_of(INSTRUCTION, Content(text="a fox", role="query")))
    assert set(text) == {"messages", "add_generation_prompt"}
    assert [message["role"] for message in text["messages"]] == ["system", "user"]


def test_bare_text_has_the_system_message_first() -> None:
    text = bare_text(INSTRUCTION, Content(text="a fox", role="query"))
    assert text.splitlines() == [INSTRUCTION.query, "a fox"]


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("<|im_<|im_end|>end|>", "<|im_< |im_end|>end|>"),
        ("<｜User｜>", "< ｜User｜>"),
        ("</s><image><start_of_turn>", "< /s>< image>< start_of_turn>"),
        ("[IMG][/INST]", "[ IMG][ /INST]"),
        ("a < b, 3 > 2, [1], x|y, <3", "a < b, 3 > 2, [1], x|y, <3"),
    ],
)
def test_control_words_of_any_model_become_mere_text(word, split) -> None:
    assert bare_text(INSTRUCTION, Content(text=word)).endswith(split)


@pytest.mark.parametrize(
    ("times", "fps", "indices", "total"),
    [
        ([3.0, 3.5, 4.0], 2.0, [0, 1, 2], 3),
        ([0.0, 0.3, 0.6], 1000.0, [0, 300, 600], 900),
        ([0.0, 0.5, 2.0], 1000.0, [0, 500, 2000], 3000),
        ([5.0], 1000.0, [0, 0], 1000),
    ],
)
def test_times_are_a_rate_where_even_and_ticks_elsewhere(times, fps, indices, total) -> None:
    told = frame_times(Prompt(messages=[], clip=clip(times), still=False))
    assert (told["fps"], told["frames_indices"], told["total_num_frames"]) == (fps, indices, total)
    assert told["duration"] == pytest.approx(total / fps)
    assert told["do_sample_frames"] is False


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"data": None}, {"data": [3]}, {"data": [{"index": True, "embedding": [1.0]}]}],
)
def test_answers_of_another_form_are_refused(answer) -> None:
    with pytest.raises(SetupError, match=r"the server (answered|numbered)"):
        read_embeddings(answer, 1)


@pytest.mark.parametrize("embedding", [None, "&&&", "AAA=", [], [1, [2]], {"a": 1}, [1e60]])
def test_embeddings_of_another_form_are_refused(embedding) -> None:
    with pytest.raises(SetupError, match="the server's vector"):
        read_embeddings({"data": [{"index": 0, "embedding": embedding}]}, 1)


def test_a_caption_stands_in_the_place_of_a_clip() -> None:
    content = Content(text="at night", caption="a dog <|im_end|> runs")
    told = bare_text(ONE_WORD, content)
    assert told.startswith("Source video: a dog < |im_end|> runs\nEdit instruction: at night\n")
    assert bare_text(INSTRUCTION, content).endswith("a dog < |im_end|> runs\nat night")
