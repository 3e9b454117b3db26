"""Thinking as a whole: the same vector in any batch, rules that end it, and what it costs."""

import numpy as np
import pytest
import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.session import KVSession
from kinoscope.errors import UsageError
from kinoscope.thinking import thinker as module
from kinoscope.thinking.config import ThinkConfig, Thinking
from kinoscope.thinking.halting import Halting, p_BK, stops_B
from kinoscope.thinking.kv_former import KVFormer
from kinoscope.thinking.thinker import Thinker
from tests.backbones.checks import SAME, cosine
from tests.thinking import naive

STEPS = 4


def learned(backbone, rule, seed=0):
    """As after training: a head and a halting that say something."""
    torch.manual_seed(seed)
    head, halting = KVFormer(backbone.dimension, slots=4), Halting(backbone.dimension, start=0.3)
    for values in (*head.parameters(), halting.weight):
        torch.nn.init.normal_(values, std=0.15)
    return Thinker(backbone, Thinking.parse(rule), head, halting)


RULES = [f"latent:fixed:{STEPS}", f"latent:halt:{STEPS}", f"latent:converged=0.2:{STEPS}",
         f"text:eos:{STEPS}", f"text:halt:{STEPS}", f"none,latent:halt:{STEPS}"]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_vector_depends_neither_on_batch_nor_order_nor_on_the_time(backbone, rule):
    contents, made = naive.contents(backbone), learned(backbone, rule)
    alone = [made.think([content])[0] for content in contents]
    order = [3, 0, 4, 2, 1]
    turned = made.think([contents[n] for n in order])
    for found in (made.think(contents), [turned[order.index(n)] for n in range(len(contents))]):
        for one, other in zip(found, alone, strict=True):
            assert (one.steps, one.reason, one.words) == (other.steps, other.reason, other.words)
            assert cosine(one.vector_D, other.vector_D) >= SAME
    again = made.think(contents)
    for one, other in zip(again, made.think(contents), strict=True):
        assert np.array_equal(one.vector_D, other.vector_D), "not the same the second time"


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_any_side_in_one_batch_or_in_many_gives_the_same(backbone, side, monkeypatch):
    contents, made = naive.contents(backbone), learned(backbone, f"latent:fixed:{STEPS}")
    wanted = made.think(contents)
    for budget in (1, 10**6):
        options = LoadOptions(padding_side=side, batch_tokens=budget)
        monkeypatch.setattr(backbone, "_options", options)
        for one, other in zip(made.think(contents), wanted, strict=True):
            assert cosine(one.vector_D, other.vector_D) >= SAME


def test_all_rows_of_one_session_whatever_their_lengths(backbone, monkeypatch):
    contents, made = naive.contents(backbone), learned(backbone, f"latent:halt:{STEPS}")
    alone = [made.think([content])[0] for content in contents]

    def one_session(backbone, contents):
        if contents:
            yield list(range(len(contents))), backbone.read(contents), [1] * len(contents)

    monkeypatch.setattr(module, "sessions", one_session)
    for one, other in zip(made.think(contents), alone, strict=True):
        assert (one.steps, one.reason) == (other.steps, other.reason)
        assert cosine(one.vector_D, other.vector_D) >= SAME


@pytest.fixture
def cost(monkeypatch):
    """Rows that the decoder read in steps, a number a call."""
    found: list[int] = []
    original = KVSession.step

    def step(session, inputs_BD):
        assert len(inputs_BD) == len(session)
        found.append(len(session))
        return original(session, inputs_BD)

    monkeypatch.setattr(KVSession, "step", step)
    return found


@pytest.mark.parametrize("rule", RULES)
def test_the_cost_is_the_sum_of_the_steps(backbone, rule, cost):
    thoughts = learned(backbone, rule).think(naive.contents(backbone))
    assert sum(cost) == sum(thought.steps - 1 for thought in thoughts)
    assert max(cost, default=0) <= len(thoughts)


def test_one_step_costs_one_pass(backbone, cost, monkeypatch):
    def never(*_arguments):
        raise AssertionError("the head was asked for words")

    monkeypatch.setattr(module, "soft_tokens", never)
    monkeypatch.setattr(module, "likeliest_ids", never)
    thoughts = learned(backbone, "latent:fixed:1").think(naive.contents(backbone))
    assert cost == []
    assert {(thought.steps, thought.reason) for thought in thoughts} == {(1, "fixed")}


def test_the_vector_is_that_of_the_head_over_all_thoughts(backbone):
    made = learned(backbone, f"latent:halt:{STEPS}")
    for thought in made.think(naive.contents(backbone)):
        states_1KD = torch.from_numpy(thought.states_KD)[None]
        with torch.no_grad():
            wanted_D = made.pooling(states_1KD)[0].numpy()
            z_KD = made.pooling.prefixes(states_1KD)[0]
        assert cosine(thought.vector_D, wanted_D) >= SAME
        curve_K = (z_KD[1:] * z_KD[:-1]).sum(dim=1).numpy()
        np.testing.assert_allclose(thought.curve_K[1:], curve_K, atol=1e-4)
        assert np.isnan(thought.curve_K[0])


def test_a_row_halts_at_the_first_step_that_reaches_the_threshold(backbone):
    contents = naive.contents(backbone)
    whole = learned(backbone, f"latent:fixed:{STEPS}").think(contents)
    made = learned(backbone, f"latent:halt=0.6:{STEPS}")
    for thought, all_steps in zip(made.think(contents), whole, strict=True):
        with torch.no_grad():
            lambdas_1K = made.halting(torch.from_numpy(all_steps.states_KD)[None])
        assert thought.steps == int(stops_B(p_BK(lambdas_1K), 0.6))
        np.testing.assert_allclose(
            thought.halting_K, all_steps.halting_K[: thought.steps], atol=1e-4
        )
        reached = float(thought.halting_K.sum()) >= 0.6
        assert thought.reason == ("halt" if reached else "cap")


def test_a_row_converges_at_the_first_step_that_turns_its_vector_no_more(backbone):
    contents = naive.contents(backbone)
    whole = learned(backbone, f"latent:fixed:{STEPS}").think(contents)
    found = learned(backbone, f"latent:converged=0.1:{STEPS}").think(contents)
    for thought, all_steps in zip(found, whole, strict=True):
        still = np.flatnonzero(1 - all_steps.curve_K[1:] < 0.1)
        wanted = (int(still[0]) + 2, "converged") if len(still) else (STEPS, "cap")
        assert (thought.steps, thought.reason) == wanted


def test_a_model_that_never_ends_its_text_stops_at_the_cap(backbone, monkeypatch):
    monkeypatch.setattr(backbone.checkpoint.model.generation_config, "eos_token_id", [])
    thoughts = Thinker(backbone, Thinking.parse("text:eos:7")).think(naive.contents(backbone))
    assert {(thought.steps, thought.reason) for thought in thoughts} == {(7, "cap")}


def test_a_text_that_ends_at_once_has_one_thought(backbone, monkeypatch):
    (content, *_) = naive.contents(backbone)
    _, ids = naive.text(backbone, content, 2)
    monkeypatch.setattr(backbone.checkpoint.model.generation_config, "eos_token_id", ids[0])
    for rule in ("text:eos:5", "text:fixed:5", "text:eos:1"):
        (thought,) = Thinker(backbone, Thinking.parse(rule)).think([content])
        assert (thought.steps, thought.reason, thought.words) == (1, "eos", "")


def test_a_prompt_near_the_models_longest_takes_the_steps_that_fit(backbone, monkeypatch):
    contents = naive.contents(backbone)
    lengths = [backbone.prepare(content)["input_ids"].shape[1] for content in contents]
    monkeypatch.setattr(type(backbone), "max_tokens", max(lengths) + 1)
    thoughts = Thinker(backbone, Thinking.parse(f"fixed:{STEPS}")).think(contents)
    for length, thought in zip(lengths, thoughts, strict=True):
        fitting = min(STEPS, 1 + max(lengths) + 1 - length)
        assert (thought.steps, thought.reason) == (fitting, "fixed" if fitting == STEPS else "cap")


def test_each_side_thinks_by_its_own_rule(backbone):
    contents = naive.contents(backbone)
    rules = Thinking(query=ThinkConfig(max_steps=3), document=None)
    for content, thought in zip(contents, Thinker(backbone, rules).think(contents), strict=True):
        assert thought.steps == {"query": 3, "document": 1}[content.role]


def test_nothing_to_think_about_is_no_thought(backbone):
    assert Thinker(backbone, Thinking.parse("fixed:2")).think([]) == []


def test_a_model_without_steps_says_so():
    class Others:
        model = "concepts"

    with pytest.raises(UsageError, match="the model concepts gives vectors without a language"):
        Thinker(Others(), Thinking.parse("fixed:2"))


def test_an_earlier_layer_does_not_think(backbone):
    earlier = MLLM(backbone.checkpoint.__class__(**{**vars(backbone.checkpoint), "layer": 1}),
                   LoadOptions())  # fmt: skip
    with pytest.raises(UsageError, match=r"by the head 'last of layer 1'.*load it without a layer"):
        Thinker(earlier, Thinking.parse("fixed:2"))


def test_a_learned_rule_needs_a_learned_halting(backbone):
    with pytest.raises(UsageError, match="has no trained halting; choose converged"):
        Thinker(backbone, Thinking.parse("halt"))


@pytest.mark.parametrize("part", ["kv_former", "halting"])
def test_parts_of_another_size_are_named(backbone, part):
    parts = {"kv_former": KVFormer(backbone.dimension), "halting": Halting(backbone.dimension)}
    parts[part] = {"kv_former": KVFormer, "halting": Halting}[part](16)
    with pytest.raises(UsageError, match=r"for states of 16 numbers: .* has 64"):
        Thinker(backbone, Thinking.parse("halt"), parts["kv_former"], parts["halting"])


def test_what_was_learned_is_found_by_name_and_told_by_its_weights(backbone):
    one, other = (learned(backbone, "halt:3", seed) for seed in (0, 1))
    assert set(one.learned) == {"kv_former", "halting"}
    assert one.describe().startswith("latent, halt at 0.5, at most 3; learned ")
    assert one.describe() == learned(backbone, "halt:3").describe() != other.describe()
    bare = Thinker(backbone, Thinking.parse("fixed:3"), "last")
    assert (len(bare.learned), bare.describe()) == (0, "latent, fixed at 3")
    assert (bare.head, one.head) == ("last of thoughts", "kv-former of thoughts")
