"""Prompts that share a clip: read as one row they are those read alone, states and gradients."""

import numpy as np
import pytest
import torch

from kinoscope import batching
from kinoscope.backbones.branches import BRANCHES, PLACES, as_read, bundled
from kinoscope.backbones.likelihood import log_likelihoods
from kinoscope.backbones.mini import Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.session import last_states
from kinoscope.prompts import CHAT
from kinoscope.types import Content, Features
from kinoscope.weights import SIDE_PX
from tests.tiny import moving_frames
from tests.tiny_mini import as_if_trained


@pytest.fixture
def make(mini_set_up):
    """Makes a tiny model with options; `network` sets what its configuration says of attention."""

    def build(attention: str = "sdpa", **options) -> MLLM:
        backbone = untrained_mini(mini_set_up, layers=2, options=LoadOptions(**options))
        backbone.checkpoint.model.set_attn_implementation(attention)
        return as_if_trained(backbone)

    return build


@pytest.fixture(params=["left", "right"])
def side(request) -> str:
    return request.param


@pytest.fixture
def in_one_batch(monkeypatch) -> None:
    """However much of it is padding."""
    monkeypatch.setattr(batching, "SPARE_TOKENS", 10_000)


def clip(backbone: MLLM, count: int, seed: int = 0) -> Features:
    return backbone.vision(moving_frames(count, SIDE_PX, SIDE_PX, seed))


def mixture(backbone: MLLM) -> list[Content]:
    """Clips of several lengths, asked once, often, twice the same, and texts without a clip."""
    one, other, third = clip(backbone, 6), clip(backbone, 3, 1), clip(backbone, 1, 2)
    return [
        Content(clip=one, text="what happens?"),
        Content(clip=other, text="how many foxes are there, and where do they go in the end?"),
        Content(text="is a door a thing that opens?"),
        Content(clip=one, text="what happens to the door?"),
        Content(clip=third, text="what is it?"),
        Content(clip=one, text="what happens?"),
        Content(clip=other),
        Content(text="is a door a thing that opens?"),
        Content(clip=one, text="yes"),
        Content(clip=other, text="a fox <file_sep> runs"),
    ]


ANSWERS = ("a fox runs to the left, then it stops", "yes", "three", "", "a door", "no",
           "a fox runs", "yes", "a fox runs to the left", "no")  # fmt: skip


def last(backbone: MLLM, contents: list[Content], share: bool) -> torch.Tensor:
    """The state behind each prompt, with gradient."""
    rows: list[torch.Tensor | None] = [None] * len(contents)
    for numbers, batch in backbone.batches(contents, CHAT, share=share):
        states_BD = last_states(backbone.hidden(batch), batch["attention_mask"])
        for number, state_D in zip(numbers, states_BD, strict=True):
            rows[number] = state_D
    return torch.stack(rows)


def reads(backbone: MLLM, monkeypatch) -> list[dict]:
    """What the network is given from now on."""
    seen: list[dict] = []
    real = backbone.checkpoint.model.model.forward

    def forward(**named):
        seen.append(named)
        return real(**named)

    monkeypatch.setattr(backbone.checkpoint.model.model, "forward", forward)
    return seen


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("tokens", [16_384, 150, 70])
def test_states_are_those_of_prompts_read_alone(make, attention, tokens, side) -> None:
    backbone = make(attention, batch_tokens=tokens, padding_side=side)
    contents = mixture(backbone)
    with torch.inference_mode():
        found_ND = last(backbone, contents, share=True)
        for content, found_D in zip(contents, found_ND, strict=True):
            (wanted_D,) = last(backbone, [content], share=False)
            torch.testing.assert_close(found_D, wanted_D, rtol=1e-5, atol=2e-5)


@pytest.mark.usefixtures("in_one_batch")
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_all_states_are_those_of_prompts_read_alone(make, attention, side) -> None:
    """Not only the last: of each row's own tokens, and no number is lost in padding."""
    backbone = make(attention, padding_side=side)
    contents = mixture(backbone)
    ((numbers, batch),) = backbone.batches(contents, share=True)
    assert PLACES in batch
    with torch.inference_mode():
        states_NTD, real_NT = backbone.hidden(batch), batch["attention_mask"].bool()
        assert states_NTD.isfinite().all()
        for place, number in enumerate(numbers):
            ((_, alone),) = backbone.batches([contents[number]])
            (wanted_TD,) = backbone.hidden(alone)
            torch.testing.assert_close(
                states_NTD[place][real_NT[place]], wanted_TD, rtol=1e-5, atol=2e-5
            )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_gradients_are_those_of_prompts_read_alone(make, attention, side) -> None:
    backbone = make(attention, batch_tokens=300, padding_side=side)
    contents = mixture(backbone)
    network = backbone.checkpoint.model
    weights_D = torch.linspace(-1, 1, network.config.hidden_size)
    gradients = []
    for share in (True, False):
        network.zero_grad()
        last(backbone, contents, share).tanh().matmul(weights_D).sum().backward()
        gradients.append({name: v.grad for name, v in network.named_parameters()})
    shared, apart = gradients
    assert any("connector" in name and grad is not None for name, grad in apart.items())
    for name, wanted in apart.items():
        if wanted is None:
            assert shared[name] is None
            continue
        scale = float(wanted.abs().max()) or 1.0
        torch.testing.assert_close(shared[name] / scale, wanted / scale, rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("in_one_batch")
def test_a_clip_is_read_once(make, monkeypatch) -> None:
    backbone = make()
    contents = mixture(backbone)
    seen = reads(backbone, monkeypatch)
    with torch.inference_mode():
        last(backbone, contents, share=True)
        last(backbone, contents, share=False)
    shared, apart = seen
    assert sorted(shared["grid_counts"].tolist()) == [1, 3, 6]
    assert sorted(apart["grid_counts"].tolist()) == [1, 3, 3, 3, 6, 6, 6, 6]
    assert len(shared["input_ids"]) == 5 and len(apart["input_ids"]) == 10
    assert shared["input_ids"].shape[1] < 2 * apart["input_ids"].shape[1]


@pytest.mark.usefixtures("in_one_batch")
def test_where_no_clip_is_shared_rows_are_padded_as_ever(make, side) -> None:
    backbone = make(padding_side=side)
    contents = [each for n, each in enumerate(mixture(backbone)) if n in (0, 1, 2, 4)]
    ((numbers, found),) = backbone.batches(contents, share=True)
    ((wanted_numbers, wanted),) = backbone.batches(contents)
    assert sorted(numbers) == sorted(wanted_numbers)
    order = [numbers.index(number) for number in wanted_numbers]
    assert found.keys() == wanted.keys() and PLACES not in found
    for key in ("input_ids", "attention_mask"):
        assert found[key][order].equal(wanted[key])


def test_a_family_that_cannot_reads_alone(make, monkeypatch) -> None:
    backbone = make()
    contents = mixture(backbone)
    monkeypatch.setattr(Mini, "branches", False)
    found = list(backbone.batches(contents, share=True))
    wanted = list(backbone.batches(contents))
    assert [numbers for numbers, _ in found] == [numbers for numbers, _ in wanted]
    assert not any(PLACES in batch for _, batch in found)


def row(*ids: int) -> dict:
    return {"input_ids": torch.tensor([ids])}


PIXEL = 9


def of(rows, most=512) -> list[tuple[list[int], int, int]]:
    found = bundled(range(len(rows)), rows, [PIXEL], most)
    return [(bundle.numbers, bundle.common, len(bundle)) for bundle in found]


def test_a_bundle_has_all_pixels_in_common() -> None:
    assert of([row(1, PIXEL, 2, 3), row(1, PIXEL, 2, 4, 5)]) == [([0, 1], 3, 6)]
    assert of([row(1, PIXEL, 2, PIXEL), row(1, PIXEL, 2, 4)]) == [([0], 4, 4), ([1], 4, 4)]
    assert of([row(1, 2), row(3, 4, 5)]) == [([0, 1], 0, 5)]
    assert of([row(1, PIXEL, 2)]) == [([0], 3, 3)]


def test_equal_prompts_and_beginnings_of_others_have_no_branch() -> None:
    assert of([row(1, PIXEL, 2)] * 3) == [([0, 1, 2], 3, 3)]
    assert of([row(1, PIXEL, 2, 3), row(1, PIXEL)]) == [([0, 1], 2, 4)]


def test_long_bundles_are_split_and_longer_prompts_go_alone() -> None:
    rows = [row(1, PIXEL, *range(10 * n, 10 * n + 3)) for n in range(2, 7)]
    assert of(rows, most=8) == [([0, 1], 2, 8), ([2, 3], 2, 8), ([4], 5, 5)]
    assert of(rows, most=4) == [([n], 5, 5) for n in range(5)]
    alike = [row(1, PIXEL, 2, 3), row(1, PIXEL, 2, 4), row(1, PIXEL, 5, 6), row(1, PIXEL, 5, 7)]
    assert of(alike, most=6) == [([0, 1], 3, 5), ([2, 3], 3, 5)], "all that is common to both"


@pytest.mark.usefixtures("in_one_batch")
def test_a_token_sees_the_beginning_and_its_own_branch(make, side) -> None:
    backbone = make(padding_side=side)
    one = clip(backbone, 2)
    contents = [Content(clip=one, text="red"), Content(clip=one, text="a blue fox")]
    ((_, batch),) = backbone.batches([*contents, Content(clip=clip(backbone, 6, 1))], share=True)
    positions = backbone.checkpoint.family.position_ids(None, batch)
    read = as_read(batch | {"position_ids": positions}, 0)
    branches_BT, seen_B1TT = batch[BRANCHES], read["attention_mask"]
    assert set(branches_BT.flatten().tolist()) == {-1, 0, 1, 2}
    for branches_T, seen_TT in zip(branches_BT.tolist(), seen_B1TT[:, 0].tolist(), strict=True):
        for query, own in enumerate(branches_T):
            wanted = [key <= query and branch in (0, own) for key, branch in enumerate(branches_T)]
            assert seen_TT[query] == wanted
            assert any(seen_TT[query])
    for branches_T, positions_T in zip(branches_BT, read["position_ids"], strict=True):
        common = int((branches_T == 0).sum())
        for branch in (1, 2):
            own_T = positions_T[branches_T == branch]
            assert own_T.tolist() == list(range(common, common + len(own_T)))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("tokens", [16_384, 90])
def test_likelihoods_are_those_of_answers_alone(make, attention, tokens, side) -> None:
    backbone = make(attention, batch_tokens=tokens, padding_side=side)
    asked = [content for content in mixture(backbone)[:4] for _ in ANSWERS]
    answers = [*ANSWERS] * 4
    found_N = log_likelihoods(backbone, asked, answers)
    alone = [log_likelihoods(backbone, [c], [a]) for c, a in zip(asked, answers, strict=True)]
    np.testing.assert_allclose(found_N, np.concatenate(alone), rtol=1e-5, atol=1e-4)
    mixed = mixture(backbone)
    found_N = log_likelihoods(backbone, mixed, ANSWERS)
    alone = [log_likelihoods(backbone, [c], [a]) for c, a in zip(mixed, ANSWERS, strict=True)]
    np.testing.assert_allclose(found_N, np.concatenate(alone), rtol=1e-5, atol=1e-4)


def test_options_of_one_question_are_read_behind_it(make, monkeypatch) -> None:
    backbone = make()
    contents = mixture(backbone)
    asked = [contents[0]] * 3 + [contents[3]] * 2 + [contents[2]] * 2
    seen = reads(backbone, monkeypatch)
    log_likelihoods(backbone, asked, ["a fox", "a door", "a cup", "no", "yes", "no", "yes"])
    (read,) = seen
    assert len(read["input_ids"]) == 3 and read["grid_counts"].tolist() == [6, 6]


def test_an_earlier_layer_is_shared_too_and_mixed_precision_changes_little(make) -> None:
    backbone = make(layer=1)
    contents = mixture(backbone)
    with torch.inference_mode():
        found_ND = last(backbone, contents, share=True)
        torch.testing.assert_close(
            found_ND, last(backbone, contents, share=False), rtol=1e-5, atol=2e-5
        )
        for attention in ("sdpa", "eager"):
            backbone.checkpoint.model.set_attn_implementation(attention)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded_ND = last(backbone, contents, share=True).float()
            cosine_N = torch.nn.functional.cosine_similarity(rounded_ND, found_ND)
            assert cosine_N.min() > 0.999
