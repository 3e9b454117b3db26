"""Rules of thinking in words and values: each form says the same, and what is wrong is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.thinking.config import ThinkConfig, Thinking, parse_thinking

shares = st.floats(1e-6, 1.0, exclude_min=True)
configs = st.builds(
    ThinkConfig,
    source=st.just("text"),
    rule=st.sampled_from(["eos", "halt", "converged", "fixed"]),
    max_steps=st.integers(1, 1024),
    epsilon=shares,
    threshold=shares,
) | st.builds(
    ThinkConfig,
    rule=st.sampled_from(["halt", "converged", "fixed"]),
    max_steps=st.integers(1, 1024),
    top=st.integers(1, 4096),
    epsilon=shares,
    threshold=shares,
)


@given(query=st.none() | configs, document=st.none() | configs)
def test_what_a_spec_says_is_read_back_whatever_was_learned(query, document):
    thinking = Thinking(query=query, document=document)
    for text in (thinking.describe(), f"{thinking.describe()}; learned 0123456789abcdef"):
        again = Thinking.described(text)
        assert again.describe() == thinking.describe()
        assert [c and (c.source, c.rule, c.max_steps) for c in (again.query, again.document)] == [
            c and (c.source, c.rule, c.max_steps) for c in (query, document)
        ]
    assert Thinking.from_dict(json.loads(json.dumps(thinking.as_dict()))) == thinking
    assert bool(thinking) == (query is not None or document is not None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fixed", "latent, fixed at 8"),
        ("latent:halt:6", "latent, halt at 0.5, at most 6"),
        ("halt=0.75", "latent, halt at 0.75, at most 8"),
        ("eos", "text, eos, at most 8"),
        ("text:eos:64", "text, eos, at most 64"),
        ("text:converged=0.02:3", "text, converged to 0.02, at most 3"),
        ("none", "none"),
        ("none,latent:fixed:2", "query none; document latent, fixed at 2"),
        ("fixed:1, fixed:2", "query latent, fixed at 1; document latent, fixed at 2"),
    ],
)
def test_a_short_form_means_what_the_spec_says_at_length(text, said):
    assert Thinking.parse(text).describe() == said


def test_a_number_of_steps_apart_is_for_rules_that_name_none():
    assert parse_thinking("fixed", max_steps=3) == ThinkConfig(max_steps=3)
    assert parse_thinking("fixed:2", max_steps=3) == ThinkConfig(max_steps=2)


def test_other_rules_are_other_specs():
    one = ThinkConfig(rule="converged", epsilon=0.0123456789)
    assert one.describe() != ThinkConfig(rule="converged", epsilon=0.0123456788).describe()
    assert ThinkConfig(top=50).describe() != ThinkConfig().describe()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"source": "words"}, "thinking source 'words': choose text, latent"),
        ({"rule": "bored"}, "thinking rule 'bored': choose eos, halt, converged, fixed"),
        ({"max_steps": 0}, r"thinking max_steps 0: choose 1\.\.1024"),
        ({"max_steps": True}, "thinking max_steps True"),
        ({"max_steps": 10**9}, "thinking max_steps 1000000000"),
        ({"top": 0}, "thinking top 0"),
        ({"epsilon": float("nan")}, "thinking epsilon nan: choose a number above 0"),
        ({"epsilon": 0.0}, "thinking epsilon 0.0"),
        ({"threshold": float("inf")}, "thinking threshold inf"),
        ({"threshold": 1.5}, "thinking threshold 1.5: choose a number above 0, at most 1"),
        ({"threshold": "0.5"}, "thinking threshold '0.5'"),
        ({"rule": "eos"}, "thinking rule 'eos' with latent steps, which have no end of text"),
    ],
)
def test_a_configuration_checks_itself(fields, sentence):
    with pytest.raises(UsageError, match=sentence):
        ThinkConfig(**fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "thinking '': give none or"),
        ("bored", "thinking rule 'bored'"),
        ("latent:eos", "which have no end of text"),
        ("fixed=3", "thinking 'fixed=3': only halt and converged take a value"),
        ("halt=x", "thinking 'halt=x': 'x' is no number"),
        ("fixed:8x", "thinking 'fixed:8x': '8x' is no number"),
        ("fixed:0", "thinking max_steps 0"),
        ("fixed,fixed,fixed", "give one rule, or QUERY,DOCUMENT"),
    ],
)
def test_a_wrong_rule_is_one_sentence(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        Thinking.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "latent", "latent, halt, at most 8", "latent, fixed at 0", "text of 5, eos, at most 3",
     "latent, halt at 0.50, at most 8", "query none", "latent, halt at 1e, at most 2"],
)  # fmt: skip
def test_a_spec_that_no_version_wrote_is_refused(text):
    with pytest.raises(UsageError, match="thinking"):
        Thinking.described(text)


@pytest.mark.parametrize(
    "values",
    [None, [], {}, {"query": None}, {"query": 3, "document": None}, {"query": {"rule": 1}}],
)
def test_values_of_a_file_are_checked(values):
    with pytest.raises(UsageError, match="thinking"):
        Thinking.from_dict(values)
