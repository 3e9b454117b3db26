"""Which prompt describes which clip, on made workflows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.samples.prompts import MIN_PROMPT_CHARS, choose_prompts, prompt_texts

FOX = "A red fox runs through deep snow while the camera follows it."
GIRL = "A little girl blows bubbles that float away and pop in the air."
UGLY = "low quality, blurry, ugly, deformed hands, worst picture of all"


def node(*widgets, type_="CLIPTextEncode", **rest):
    return {"type": type_, "widgets_values": list(widgets), **rest}


def workflow(*nodes, **rest):
    return {"nodes": list(nodes), **rest}


def test_texts_come_in_order_each_once_with_plain_spaces():
    made = workflow(node(f"  {FOX}\n"), node(GIRL, 7, None), node(f'"{FOX}"'))
    assert prompt_texts(made) == [FOX, GIRL]


@pytest.mark.parametrize(
    "text",
    [
        "A red fox runs.",
        "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors",
        "1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0",
        '[ { "x": 393, "y": 126 }, { "x": 393, "y": 127 }, { "x": 394, "y": 128 } ]',
        "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，丑陋的，残缺的，多余的手指",
    ],
)
def test_short_texts_names_numbers_json_and_chinese_are_no_prompts(text):
    assert prompt_texts(workflow(node(text))) == []


@pytest.mark.parametrize("type_", ["Note", "MarkdownNote"])
def test_notes_are_no_prompts(type_):
    assert prompt_texts(workflow(node(FOX, type_=type_))) == []


def test_a_node_titled_negative_is_not_read():
    made = workflow(node(UGLY, title="CLIP Text Encode (Negative Prompt)"), node(FOX))
    assert prompt_texts(made) == [FOX]


def test_a_node_wired_to_a_negative_input_is_not_read_even_without_a_title():
    sampler = {"type": "KSampler", "inputs": [{"name": "negative", "link": 5}]}
    made = workflow(node(UGLY, outputs=[{"links": [5]}]), node(FOX, outputs=[{"links": [6]}]))
    made["nodes"].append(sampler)
    assert prompt_texts(made) == [FOX]


def test_link_numbers_count_only_within_their_own_subgraph():
    inner = workflow(
        node(UGLY, outputs=[{"links": [6]}]),
        {"type": "KSampler", "inputs": [{"name": "negative", "link": 6}]},
    )
    made = workflow(node(FOX, outputs=[{"links": [6]}]), definitions={"subgraphs": [inner]})
    assert prompt_texts(made) == [FOX]


def test_widgets_may_be_named_instead_of_listed():
    assert prompt_texts({"nodes": [{"widgets_values": {"text": FOX, "seed": 3}}]}) == [FOX]


KEYS = [
    "nodes",
    "definitions",
    "subgraphs",
    "widgets_values",
    "inputs",
    "outputs",
    "link",
    "links",
    "name",
    "title",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(anything)
def test_json_of_any_shape_is_read_without_a_crash(value):
    assert all(len(text) >= MIN_PROMPT_CHARS for text in prompt_texts(value))


@pytest.mark.parametrize(
    ("takes", "workflows", "rule"),
    [
        (1, {"a": workflow(node(FOX))}, "described"),
        (1, {}, "no workflow"),
        (2, {"a": workflow(node(FOX))}, "input and output"),
        (1, {"a": workflow(node("short"))}, "no text"),
        (1, {"a": workflow(node("Replace the white horse with a giant sheep."))}, "edit"),
        (1, {"a": workflow(node(FOX), node("Keep the man exactly as he was before it."))}, "edit"),
    ],
)
def test_a_rule_decides_for_each_clip(takes, workflows, rule):
    prompt, found = choose_prompts({"a": takes}, workflows)["a"]
    assert found.startswith(rule)
    assert prompt == (FOX if rule == "described" else None)


def test_an_edit_word_within_a_sentence_or_word_is_no_instruction():
    text = "Keepers of a lighthouse change places while the waves rise."
    assert choose_prompts({"a": 1}, {"a": workflow(node(text))})["a"] == (text, "described")


def test_of_clips_with_one_prompt_the_first_by_name_keeps_it():
    made = {name: workflow(node(FOX)) for name in "ab"}
    chosen = choose_prompts({"b": 1, "a": 1}, made)
    assert chosen == {"a": (FOX, "described"), "b": (None, "repeated prompt")}


def test_a_clip_without_a_prompt_does_not_use_its_text_up():
    made = {name: workflow(node(FOX)) for name in "ab"}
    assert choose_prompts({"a": 2, "b": 1}, made)["b"] == (FOX, "described")
