"""Captions and answers of whole videos: those of the model itself, and the same each time."""

import pytest

from kinoscope import Embedder, libraries
from kinoscope.backbones.likelihood import likeliest, log_likelihoods
from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.speech import said
from kinoscope.errors import MediaError, UsageError
from kinoscope.prompts import CHAT, CHOOSE, DESCRIBE, DETAIL, choice_prompt
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


# --- how sure a model is of its words


def naive(backbone, content: Content, most: int) -> tuple[list[int], float]:
    """Greedy, the whole prompt read again for each token: ids and their mean log-likelihood."""
    torch = libraries.torch()
    network, inputs = backbone.checkpoint.model, backbone.prepare(content, CHAT)
    ends = {network.generation_config.eos_token_id}
    ids: list[int] = []
    sums: list[float] = []
    while len(ids) < most and not (ids and ids[-1] in ends):
        with torch.inference_mode():
            logits_V = network(**inputs).logits[0, -1].double()
        ids.append(int(logits_V.argmax()))
        sums.append(float(logits_V.log_softmax(dim=0).max()))
        more = torch.tensor([ids[-1:]])
        behind = {"input_ids": more, "attention_mask": more * 0 + 1, "token_type_ids": more * 0 + 1}
        behind |= {"mm_token_type_ids": more * 0}
        inputs = {
            key: torch.cat([value, behind[key]], dim=1) if key in behind else value
            for key, value in inputs.items()
        }
    return ids, sum(sums) / len(sums)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm", "mini"])
def test_words_are_as_likely_as_the_model_says_token_by_token(embedder_of, family) -> None:
    embedder = embedder_of(family)
    backbone, clip = embedder.backbone, embedder.vision(video_for(embedder))
    asked = [
        Content(clip=clip, text="what happens first?"),
        Content(text="is a door a thing that opens and closes, more or less?"),
        Content(clip=clip, text="how?"),
    ]
    together = said(backbone, asked, max_new_tokens=5)
    for content, words in zip(asked, together, strict=True):
        ids, mean = naive(backbone, content, 5)
        tokenizer = backbone.checkpoint.family.processor.tokenizer
        assert words.text == tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert words.log_likelihood == pytest.approx(mean, abs=1e-3)
        assert words.complete == (ids[-1] == tokenizer.eos_token_id)
        assert words.log_likelihood < 0
    assert [each.text for each in together] == backbone.generate(asked, max_new_tokens=5)


def test_what_ends_by_itself_is_complete_and_what_is_behind_the_end_does_not_count(
    embedder_of, monkeypatch
) -> None:
    """The first token that the model would say is made the end of its turn for one of two rows."""
    embedder = embedder_of("mini")
    backbone, clip = embedder.backbone, embedder.vision(video_for(embedder))
    short, long = Content(clip=clip, text="what?"), Content(text="a longer one, about something?")
    (first, *_), mean = naive(backbone, short, 1)
    assert naive(backbone, long, 4)[0].count(first) == 0, "another pair of questions is needed"
    monkeypatch.setattr(backbone.checkpoint.model.generation_config, "eos_token_id", first)
    ended, cut_off = said(backbone, [short, long], max_new_tokens=4)
    assert (ended.complete, cut_off.complete) == (True, False)
    assert ended.log_likelihood == pytest.approx(mean, abs=1e-3)
    assert cut_off.log_likelihood == pytest.approx(naive(backbone, long, 4)[1], abs=1e-3)
