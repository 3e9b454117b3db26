"""Prompts: the published words, in the published places, and a hash that notices any change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.prompts import CHAT, INSTRUCTION, ONE_WORD, TEMPLATES, prompts_hash, template_named

MEDIA = {"type": "video"}


def user_parts(template, *arguments):
    return template.messages(*arguments)[-1]["content"]


def words(text):
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("text", "a dog", "video"), [words("a dog\nSummary above sentence in one word:")]),
        (("video", None, "video"), [MEDIA, words("\nSummary above video in one word:")]),
        (
            ("image", None, "image"),
            [{"type": "image"}, words("\nSummary above image in one word:")],
        ),
    ],
)
def test_one_word_prompts_are_those_of_the_paper(arguments, parts):
    assert user_parts(ONE_WORD, *arguments) == parts
    assert len(ONE_WORD.messages(*arguments)) == 1, "the model's own system message stays"


@pytest.mark.parametrize("medium", ["video", "image"])
def test_an_edit_stands_behind_its_source_and_asks_for_the_result(medium):
    before, media, after = user_parts(ONE_WORD, "composed", "make it night", medium)
    assert (before["text"], media) == (f"Source {medium}: ", {"type": medium})
    assert "Edit instruction: make it night\n" in after["text"]
    assert after["text"].endswith(f"Summary of the resulting {medium} in one word:")


def test_instructions_are_system_messages_by_role():
    for role, system in (("query", INSTRUCTION.query), ("document", INSTRUCTION.document)):
        first, user = INSTRUCTION.messages("text", "a dog", "video", role)
        assert first == {"role": "system", "content": [words(system)]}
        assert user["content"] == [words("a dog")]
    assert user_parts(INSTRUCTION, "composed", "at night", "video") == [MEDIA, words("at night")]


def test_a_chat_holds_what_the_user_wrote_and_nothing_else():
    assert CHAT.messages("composed", "what is it?", "video") == [
        {"role": "user", "content": [MEDIA, words("what is it?")]}
    ]


@given(st.text(min_size=1), st.sampled_from(["text", "composed"]))
def test_the_text_comes_through_as_it_is(text, kind):
    for template in (ONE_WORD, INSTRUCTION, CHAT):
        parts = user_parts(template, kind, text, "video")
        joined = "".join(part.get("text", "") for part in parts)
        assert joined.count(text) >= 1
        assert sum(part["type"] == "video" for part in parts) == (kind == "composed")


@pytest.mark.parametrize("text", ["{media}", "{text}", "{medium} {media}"])
def test_markers_in_a_text_are_only_words(text):
    parts = user_parts(ONE_WORD, "composed", text, "video")
    assert sum(part["type"] == "video" for part in parts) == 1
    assert text in parts[-1]["text"]


def test_templates_go_by_name():
    assert {name: template_named(name) for name in TEMPLATES} == TEMPLATES
    with pytest.raises(UsageError, match="'two words' is unknown: choose one word or instruction"):
        template_named("two words")


def test_the_hash_tells_where_one_template_ends():
    assert prompts_hash("ab", "c") != prompts_hash("a", "bc")
    assert prompts_hash("a") == prompts_hash("a")


def test_a_caption_stands_in_the_place_of_the_video_and_makes_one_text() -> None:
    [turn] = ONE_WORD.messages("composed", "make it red", "video", caption="A blue car.")
    assert turn["content"] == [
        {
            "type": "text",
            "text": "Source video: A blue car.\nEdit instruction: make it red\n"
            "Imagine this edit applied to the video above.\n"
            "Summary of the resulting video in one word:",
        }
    ]
    with_video = ONE_WORD.messages("composed", "make it red", "video")
    assert [part["type"] for part in with_video[0]["content"]] == ["text", "video", "text"]
