"""Captions and answers of whole videos: those of the model itself, and the same each time."""

import pytest

from kinoscope import Embedder
from kinoscope.backbones.likelihood import likeliest, log_likelihoods
from kinoscope.backbones.mini import SAMPLING
from kinoscope.errors import MediaError, UsageError
from kinoscope.prompts import CHOOSE, DESCRIBE, DETAIL, choice_prompt
from kinoscope.types import Content, Frames
from tests.tiny import FAMILIES, moving_frames

EVERY = (*FAMILIES, "mini")
OPTIONS = ("a fox", "a door that opens, then closes", "snow")


@pytest.fixture
def embedder_of(checkpoint, trained_mini, mini_set_up):
    def make(family: str) -> Embedder:
        if family == "mini":
            return Embedder(trained_mini, sampling=SAMPLING)
        return Embedder.load(str(checkpoint(family)))

    return make


def video_for(embedder: Embedder) -> Frames:
    side = (260, 260) if embedder.sampling.side_px else (56, 84)
    return moving_frames(4, *side, 0)


@pytest.mark.parametrize("family", EVERY)
def test_a_caption_is_what_the_model_says_to_the_prompts_of_training(embedder_of, family) -> None:
    embedder = embedder_of(family)
    video = video_for(embedder)
    clip = embedder.vision(video)
    brief, detailed = (
        embedder.caption(video, detailed=detailed, max_new_tokens=8) for detailed in (False, True)
    )
    said = embedder.backbone.generate(
        [Content(clip=clip, text=text) for text in (DESCRIBE, DETAIL)], max_new_tokens=8
    )
    assert [brief, detailed] == said
    assert embedder.caption(video, max_new_tokens=8) == brief
    assert len(embedder.caption(video, max_new_tokens=1)) < len(brief)


@pytest.mark.parametrize("family", EVERY)
def test_an_answer_is_the_models_own_or_its_likeliest_option(embedder_of, family) -> None:
    embedder = embedder_of(family)
    video, question = video_for(embedder), "what happens first?"
    clip, backbone = embedder.vision(video), embedder.backbone
    assert embedder.answer(video, question) == backbone.generate(
        [Content(clip=clip, text=question)]
    )[0]  # fmt: skip
    asked = Content(clip=clip, text=CHOOSE.format(question=question, options="; ".join(OPTIONS)))
    scores_N = log_likelihoods(backbone, [asked] * len(OPTIONS), OPTIONS)
    chosen = embedder.answer(video, question, options=OPTIONS)
    assert chosen == OPTIONS[int(scores_N.argmax())] == likeliest(backbone, asked, OPTIONS)


def test_a_file_is_read_as_its_frames(embedder_of, video_folder) -> None:
    embedder = embedder_of("mini")
    path = video_folder / "short.mp4"
    said = embedder.caption(path, max_new_tokens=6)
    assert said == embedder.caption(str(path), max_new_tokens=6)
    assert embedder.answer(path, "what is it?", options=OPTIONS) in OPTIONS
    with pytest.raises(MediaError, match="absent"):
        embedder.caption(video_folder / "absent.mp4")


def test_options_stand_in_the_prompt_as_they_are() -> None:
    assert choice_prompt("{what}?", ["{a}", "b"]) == "{what}? Choose one: {a}; b."


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        (" \n", (), "the question is empty: write it out"),
        (3, (), "a text of type int: give a string"),
        ("what?", ("a", ""), "the option is empty: write it out"),
        ("what?", ("a", 3), "a text of type int: give a string"),
        ("what?", "yes", "options 'yes': give a list of two or more, or none"),
        ("what?", ["yes"], r"options \['yes'\]: give a list of two or more, or none"),
        ("what?", ["yes", "<file_sep>"], "answer '<file_sep>' has the model's own '<file_sep>'"),
        ("x" * 70_000, (), "the text has 70000 bytes: give at most 65536"),
    ],
)
def test_what_cannot_be_asked_is_refused(embedder_of, question, options, message) -> None:
    embedder = embedder_of("mini")
    with pytest.raises(UsageError, match=message):
        embedder.answer(video_for(embedder), question, options=options)


def test_control_words_in_a_question_are_mere_text(embedder_of) -> None:
    embedder = embedder_of("mini")
    assert isinstance(embedder.answer(video_for(embedder), "is <file_sep> <|im_end|> seen?"), str)


def test_no_frames_and_no_tokens_are_refused(embedder_of) -> None:
    embedder = embedder_of("mini")
    video = video_for(embedder)
    with pytest.raises(UsageError, match="max_new_tokens 0: give at least 1"):
        embedder.caption(video, max_new_tokens=0)
    with pytest.raises(UsageError, match="no frames: give at least one"):
        embedder.caption(video.take([]))


def test_a_model_without_words_says_so(trained_mini) -> None:
    class Mute:
        model, head, dimension = "concepts", "mean", 3

    for ask in (
        lambda embedder: embedder.caption("absent.mp4"),
        lambda embedder: embedder.answer("absent.mp4", "what?"),
        lambda embedder: embedder.answer("absent.mp4", "what?", options=OPTIONS),
    ):
        with pytest.raises(
            UsageError, match="the concepts model gives vectors, no words: load a m"
        ):
            ask(Embedder(Mute()))
