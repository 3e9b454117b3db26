"""Words as targets of pixels: weights and targets as defined, the loss as a naive twin has it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.words import Vocabulary, word_loss

WORDS = ("fox", "door", "cup", "train", "tree", "moves", "opens", "the", "red", "two")


def by_words(texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
    """A tokenizer with a token a word, in running text."""
    assert not add_special_tokens and all(text.startswith(" ") for text in texts)
    return {"input_ids": [[10 * WORDS.index(word) for word in text.split()] for text in texts]}


def vocabulary(*captions: str) -> Vocabulary:
    return Vocabulary.of(captions, by_words)


def test_a_word_weighs_the_log_of_captions_per_caption_with_it() -> None:
    found = vocabulary("the fox moves", "the door opens", "the fox fox opens", "the red cup")
    assert found.ids_V.tolist() == [0, 10, 20, 50, 60, 70, 80]
    of = dict(zip(found.ids_V.tolist(), found.weights_V.tolist(), strict=True))
    assert of[70] == 0, "a word of every caption tells nothing"
    assert of[0] == of[60] == pytest.approx(math.log(4 / 2)), "twice in a caption counts once"
    assert of[20] == pytest.approx(math.log(4))
    assert repr(found) == "Vocabulary(7 tokens)"


@given(
    known=st.lists(st.lists(st.sampled_from(WORDS[:6]), min_size=1, max_size=4), min_size=2),
    asked=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=1),
)
def test_targets_are_shares_of_known_words_by_weight(known, asked) -> None:
    learned = {word for words in known for word in words}
    if len(learned) < 2:
        with pytest.raises(UsageError, match=r"of 1 different words to learn: leave the lesson"):
            vocabulary(*map(" ".join, known))
        return
    found = vocabulary(*map(" ".join, known))
    targets_BV = found.targets([" ".join(words) for words in asked], by_words)
    assert targets_BV.shape == (len(asked), len(learned)) and targets_BV.dtype == torch.float32
    assert bool((targets_BV >= 0).all())
    places = [WORDS[token // 10] for token in found.ids_V.tolist()]
    for words, row_V in zip(asked, targets_BV, strict=True):
        mine = set(words) & learned
        assert {places[place] for place in row_V.nonzero()[:, 0]} == mine
        assert float(row_V.sum()) == pytest.approx(1.0 if mine else 0.0, abs=1e-5)
        shares = {word: float(row_V[places.index(word)]) for word in mine}
        weights = {word: found.weights_V[places.index(word)] for word in mine}
        for one in mine:  # the rarer weighs more
            assert all(weights[one] <= weights[two] or shares[one] > shares[two] for two in mine)


def test_a_caption_of_unknown_words_costs_nothing_and_its_gradient_is_zero() -> None:
    known = vocabulary("the fox", "the door")
    targets_BV = known.targets(["two red cup", "the fox two"], by_words)
    assert targets_BV[0].tolist() == [0, 0, 0]
    tokens = [torch.randn(2, 4, requires_grad=True) for _ in range(2)]
    losses_B = word_loss(tokens, torch.randn(3, 4), targets_BV)
    losses_B.sum().backward()
    assert losses_B[0] == 0 < losses_B[1]
    assert not tokens[0].grad.any() and tokens[1].grad.any()


def test_words_of_motion_are_those_that_one_side_uses_more_often() -> None:
    known = vocabulary("the door opens", "the red cup moves", "tree")
    forward = ("the door opens", "the red door opens", "door moves", "the door opens")
    backward = ("the door moves", "the door", "the red door moves", "red door")
    targets_2V, among_V = known.opposed(forward, backward, by_words)
    words = [WORDS[token // 10] for token in known.ids_V.tolist()]
    leans = {"opens": 3 / 4, "moves": 1 / 4 - 2 / 4, "red": 1 / 4 - 2 / 4}
    assert {word for word, among in zip(words, among_V.tolist(), strict=True) if among} == {*leans}
    for row, sign in ((0, 1), (1, -1)):
        speak = {word: sign * lean for word, lean in leans.items() if sign * lean > 0}
        for word, share in zip(words, targets_2V[row].tolist(), strict=True):
            assert share == pytest.approx(speak.get(word, 0) / sum(speak.values()))


SAID = st.lists(st.lists(st.sampled_from(WORDS[:7]), max_size=4), max_size=12)


@given(forward=SAID, backward=SAID)
def test_sides_exchanged_exchange_their_targets(forward, backward) -> None:
    known = vocabulary("fox door cup", "train tree")
    sides = [[" ".join(words) for words in side] for side in (forward, backward)]
    targets_2V, among_V = known.opposed(*sides, by_words)
    again_2V, again_V = known.opposed(*sides[::-1], by_words)
    assert torch.equal(targets_2V.flip(0), again_2V) and torch.equal(among_V, again_V)
    assert torch.equal((targets_2V > 0).any(dim=0), among_V), "what competes speaks for one side"
    assert not (targets_2V > 0).all(dim=0).any(), "and for one alone"
    for row in targets_2V:
        assert float(row.sum()) == pytest.approx(1.0 if row.any() else 0.0, abs=1e-5)


def test_what_all_captions_share_tells_nothing_and_costs_nothing() -> None:
    known = vocabulary("the fox", "the door", "cup")
    targets_2V, among_V = known.opposed(["the fox"], ["the fox"], by_words)
    assert not targets_2V.any() and not among_V.any()
    tokens = [torch.randn(2, 4, requires_grad=True) for _ in range(2)]
    losses_B = word_loss(tokens, torch.randn(4, 4), targets_2V, among_V.repeat(2, 1))
    losses_B.sum().backward()
    assert losses_B.tolist() == [0, 0]
    assert all(not each.grad.any() for each in tokens)


@pytest.mark.parametrize("captions", [(), ("fox fox", "fox")])
def test_less_than_two_words_are_none_to_learn(captions) -> None:
    with pytest.raises(UsageError, match=f"{len(captions)} captions of . different words"):
        vocabulary(*captions)


def naive(tokens, embeddings_VD, targets_BV, among_BV) -> np.ndarray:
    """A clip, a word and a token at a time, in float64."""
    embeddings = [np.asarray(row, np.float64) for row in embeddings_VD]
    middle = sum(embeddings) / len(embeddings)
    centred = [row - middle for row in embeddings]
    length = np.mean([math.sqrt((row * row).sum()) for row in centred])
    losses = []
    for tokens_ND, targets_V, among_V in zip(tokens, targets_BV, among_BV, strict=True):
        shares = []
        for row in centred:
            terms = [math.exp(15 * float(token @ row) / length**2) for token in tokens_ND]
            shares.append(sum(terms))
        whole = sum(share for share, among in zip(shares, among_V, strict=True) if among)
        losses.append(
            -sum(
                float(wanted) * math.log(share / whole)
                for wanted, share in zip(targets_V, shares, strict=True)
                if wanted
            )
        )
    return np.array(losses)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_that_of_a_naive_twin(seed) -> None:
    """Clips of different lengths, one of a single token; all words compete, or some of them."""
    rng = np.random.default_rng(seed)
    words, width = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    embeddings_VD = rng.normal(size=(words, width)) + 3
    tokens = [0.3 * rng.normal(size=(n, width)) for n in (1, 5, 2)]
    targets_BV = rng.dirichlet(np.ones(words), size=3)
    some_BV = rng.random((3, words)) < 0.6
    some_BV[:, 0] = True
    among = targets_BV * some_BV / (targets_BV * some_BV).sum(axis=1, keepdims=True)
    given = ([torch.tensor(each) for each in tokens], torch.tensor(embeddings_VD))
    found_B = word_loss(*given, torch.tensor(targets_BV))
    wanted_B = naive(tokens, embeddings_VD, targets_BV, np.ones_like(some_BV))
    assert found_B.numpy() == pytest.approx(wanted_B, rel=1e-4)
    found_B = word_loss(*given, torch.tensor(among), torch.tensor(some_BV))
    wanted_B = naive(tokens, embeddings_VD, among, some_BV)
    assert found_B.numpy() == pytest.approx(wanted_B, rel=1e-4)


def test_a_token_in_the_direction_of_a_word_says_that_word() -> None:
    """Also among many tokens that say nothing; the mean of all embeddings is no direction."""
    generator = torch.Generator().manual_seed(0)
    embeddings_VD = torch.randn(30, 64, generator=generator) + 2
    centred_VD = embeddings_VD - embeddings_VD.mean(dim=0)
    silent = torch.zeros(40, 64)
    for word in range(30):
        said = torch.cat([silent, centred_VD[word : word + 1]])
        losses_V = torch.stack(
            [word_loss([said], embeddings_VD, torch.eye(30)[[other]])[0] for other in range(30)]
        )
        assert int(losses_V.argmin()) == word
        assert losses_V[word] < 0.5 < math.log(30)
    uniform = word_loss([silent], embeddings_VD, torch.eye(30)[[3]])
    assert float(uniform) == pytest.approx(math.log(30), rel=1e-5)


def test_the_gradient_reaches_tokens_but_no_embeddings() -> None:
    embeddings_VD = torch.randn(5, 8, requires_grad=True)
    tokens = [torch.zeros(3, 8, requires_grad=True), torch.zeros(1, 8, requires_grad=True)]
    word_loss(tokens, embeddings_VD, torch.eye(5)[:2]).sum().backward()
    assert embeddings_VD.grad is None
    assert all(each.grad.any(dim=1).all() for each in tokens)


def test_scores_are_exact_under_mixed_precision() -> None:
    """A score of 15 in bfloat16 would be off by a sixteenth."""
    generator = torch.Generator().manual_seed(0)
    embeddings_VD = torch.randn(40, 64, generator=generator)
    tokens = [0.7 * torch.randn(6, 64, generator=generator) for _ in range(4)]
    targets_BV = torch.eye(40)[:4]
    plain_B = word_loss(tokens, embeddings_VD, targets_BV)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_B = word_loss(tokens, embeddings_VD, targets_BV)
    assert torch.equal(plain_B, mixed_B)


def test_a_vocabulary_without_words_is_our_error() -> None:
    with pytest.raises(AssertionError, match="0"):
        Vocabulary(ids_V=torch.tensor([]), weights_V=np.array([], np.float32))
