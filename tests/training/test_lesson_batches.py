"""What is contrasted: partners reversed in time, wrong texts, and equal texts left out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.training import lesson_losses
from kinoscope.training.lesson_batches import (
    Drawn,
    captioned,
    edited,
    matches,
    moments,
    pairs,
    questions,
    wordings,
)
from kinoscope.training.lesson_losses import LessonLosses
from kinoscope.training.teaching import embed
from kinoscope.types import Content, Features, Span
from tests.tiny import moving_frames, tiny
from tests.training.lesson_films import NAMES, Example, example, wrong


def drawn(examples, epoch: int = 0) -> Drawn:
    clips = [
        Features(np.arange(12.0).reshape(4, 3) + 100 * n, np.array([0.0, 0.5, 1.0, 2.0]))
        for n in range(len(examples))
    ]
    dice = [np.random.default_rng((epoch, n)) for n in range(len(examples))]
    return Drawn(examples=examples, clips=clips, dice=dice)


MADE = {"detailed": False, "partners": 1.0, "hard": True, "paired": 0.0, "told": 1.0}


def made(examples, epoch: int = 0, **choices):
    return pairs(drawn(examples, epoch), **(MADE | choices))


def worded(examples, epoch: int = 0, **choices):
    return wordings(
        drawn(examples, epoch), **({"partners": 1.0, "hard": True, "paired": 0.0} | choices)
    )


CHIRAL = [example(name) for name in NAMES[:3]]
STILL = Example(captions=("it stays", "it rests"))


@pytest.mark.parametrize("epoch", range(4))
def test_a_partner_is_the_reversed_clip_with_a_text_of_what_it_shows(epoch) -> None:
    found = made([CHIRAL[0], STILL, CHIRAL[2]], epoch)
    assert len(found.clips) == len(found.texts) == 5
    for own, partner in ((0, 3), (2, 4)):
        clip, turned = found.clips[own], found.clips[partner]
        assert turned.values_F.tolist() == clip.values_F.tolist()[::-1]
        assert turned.times_F.tolist() == [0.0, 1.0, 1.5, 2.0]
        assert found.texts[own] in example(NAMES[own]).captions
        assert found.texts[partner] in example(NAMES[own]).backward
    words, clips = captioned(drawn([CHIRAL[0], STILL, CHIRAL[2]], epoch), 1.0)
    assert len(words) == len(clips) == 5
    assert words[3] in CHIRAL[0].backward and words[4] in CHIRAL[2].backward


def test_partners_come_as_often_as_asked_for() -> None:
    many = [example("a fox")] * 400
    for share in (0.0, 0.3, 1.0):
        come = len(made(many, partners=share).texts) - 400
        assert come == pytest.approx(400 * share, abs=45 if share == 0.3 else 0)
        assert len(captioned(drawn(many), share)[0]) - 400 == pytest.approx(400 * share, abs=45)


def test_detailed_texts_bring_no_partner() -> None:
    found = made(CHIRAL, detailed=True)
    assert len(found.texts) == len(found.clips) == 3
    assert all(text in one.details for text, one in zip(found.texts, CHIRAL, strict=True))
    assert all(text in one.details for text, one in zip(found.said, CHIRAL, strict=True))
    assert found.asked != made(CHIRAL).asked


def test_the_wrong_text_of_a_row_is_one_of_its_own_video() -> None:
    two = [
        Example(captions=(f"{n} a", f"{n} b"), mismatches=(wrong(f"{n} x"), wrong(f"{n} y")))
        for n in range(5)
    ]
    seen = set()
    for epoch in range(8):
        found = made(two, epoch)
        assert [text[:2] for text in found.hard] == ["0 ", "1 ", "2 ", "3 ", "4 "]
        seen |= set(found.hard)
    assert len(seen) == 10


def test_a_partner_is_told_from_the_text_of_what_it_reverses() -> None:
    found = made(CHIRAL)
    assert [text in ("a fox rests", "a door rests", "a cup rests") for text in found.hard[:3]]
    assert found.hard[3:] == found.texts[:3]
    assert len(found.hard) == len(found.clips) == 6


def test_a_video_without_a_wrong_text_takes_that_of_another() -> None:
    found = made([STILL, CHIRAL[0], STILL], partners=0.0)
    assert found.hard[1] == "a fox rests"
    assert found.hard[0] == found.texts[1]
    assert found.hard[2] in (found.texts[0], found.texts[1])
    assert all(hard != text for hard, text in zip(found.hard, found.texts, strict=True))


def test_without_wrong_texts_there_are_no_hard_ones() -> None:
    assert made([STILL, STILL]).hard == []
    assert made(CHIRAL, hard=False).hard == []
    one_word = Example(captions=("same", "same"))
    marked = Example(captions=("same", "same"), mismatches=(wrong("other"),))
    assert made([marked, one_word]).hard == [], "a true text would be a wrong one"


@pytest.mark.parametrize(("told", "count"), [(1.0, 6), (0.5, 3), (0.34, 2), (0.01, 1)])
def test_a_share_of_the_draw_is_told(told, count) -> None:
    examples = [example(name) for name in NAMES]
    found = made(examples, told=told)
    assert len(found.said) == count
    for number, said in enumerate(found.said):
        assert said in examples[number].captions
        assert said != found.texts[number]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory, one_torch_thread):
    return load_backbone(str(tiny("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")))[0]


def naive_contrast(video_BD, text_BD, hard_BD, texts, temperature) -> float:
    """Both directions, a score at a time; an equal text is neither right nor wrong."""
    total, rows = 0.0, range(len(texts))
    for i in rows:
        others = [j for j in rows if j == i or texts[j] != texts[i]]
        to_text = [video_BD[i] @ text_BD[j] for j in others]
        if len(hard_BD):
            to_text.append(video_BD[i] @ hard_BD[i])
        to_video = [text_BD[i] @ video_BD[j] for j in others]
        for scores in (to_text, to_video):
            weights = np.exp(np.array(scores) / temperature)
            total -= np.log(weights[others.index(i)] / weights.sum()) / 2
    return total


@pytest.mark.parametrize("case", ["partners and wrong texts", "partners", "equal texts"])
@torch.inference_mode()
def test_the_contrast_is_that_of_a_naive_twin(backbone, case) -> None:
    """In which the two of a pair of partners are each other's negatives, among all others."""
    examples = [CHIRAL[0], STILL, CHIRAL[2]]
    if case == "equal texts":
        examples = [Example(captions=("it rests", "it rests")), STILL, STILL, CHIRAL[0]]
    clips = [backbone.vision(moving_frames(4, 56, 84, n)) for n in range(len(examples))]
    dice = [np.random.default_rng((3, n)) for n in range(len(examples))]
    batch = pairs(
        Drawn(examples=examples, clips=clips, dice=dice),
        detailed=False,
        partners=1.0,
        hard=case != "partners",
        paired=0.0,
        told=1.0,
    )
    assert len(batch.clips) == 5 and bool(batch.hard) == (case != "partners")
    assert (len(set(batch.texts)) < 5) == (case == "equal texts")

    def vectors(contents):
        return embed(backbone, contents).double().numpy() if contents else []

    wanted = naive_contrast(
        vectors([Content(clip=clip) for clip in batch.clips]),
        vectors([Content(text=text) for text in batch.texts]),
        vectors([Content(text=text) for text in batch.hard]),
        batch.texts,
        0.1,
    )
    found = LessonLosses(backbone, lambda: 0.1).contrast(batch)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("epoch", range(4))
def test_two_wordings_say_the_same_of_a_video_or_of_its_reversal(epoch) -> None:
    examples = [CHIRAL[0], STILL, CHIRAL[2]]
    found = worded(examples, epoch)
    rows = list(zip(found.texts, found.others, strict=True))
    assert len(rows) == 5 and all(one != other for one, other in rows)
    for pair, example_of in zip(rows[:3], examples, strict=True):
        assert {*pair} <= {*example_of.captions}
    for pair, example_of in zip(rows[3:], (CHIRAL[0], CHIRAL[2]), strict=True):
        assert {*pair} <= {*example_of.backward}
    assert len(found.hard) == 3 and found.hard[0] == "a fox rests"
    assert len({tuple(worded(examples, n).texts) for n in range(9)}) > 3
    alone = worded(examples, epoch, partners=0.0, hard=False)
    assert len(alone.texts) == 3 and alone.hard == []


@pytest.mark.parametrize("hard", [True, False])
@torch.inference_mode()
def test_the_contrast_of_wordings_is_that_of_a_naive_twin(backbone, hard) -> None:
    """Rows that share a text are no negatives, and a wrong text is one for every row."""
    twice = Example(captions=("it rests", "it stays"), backward=("it goes", "it walks"))
    batch = worded([CHIRAL[0], twice, STILL], hard=hard)
    rows = list(zip(batch.texts, batch.others, strict=True))
    assert any({*a} & {*b} for n, a in enumerate(rows) for b in rows[n + 1 :])
    vector = {
        text: embed(backbone, [Content(text=text)])[0].double().numpy()
        for text in {*batch.texts, *batch.others, *batch.hard}
    }
    total = 0.0
    for i, row in enumerate(rows):
        others = [j for j in range(len(rows)) if j == i or not {*row} & {*rows[j]}]
        for mine, side in ((row[0], 1), (row[1], 0)):
            against = [rows[j][side] for j in others] + batch.hard
            weights = np.exp([vector[mine] @ vector[text] / 0.1 for text in against])
            total -= np.log(weights[others.index(i)] / weights.sum()) / 2
    found = LessonLosses(backbone, lambda: 0.1).wordings(batch)
    assert float(found) == pytest.approx(total, rel=1e-4)


def test_a_text_that_is_wrong_for_one_and_right_for_another_is_read_once(
    backbone, monkeypatch
) -> None:
    read: list[Content] = []

    def counted(backbone, contents):
        read.extend(contents)
        return embed(backbone, contents)

    clips = [backbone.vision(moving_frames(4, 56, 84, n)) for n in range(3)]
    batch = pairs(replace(drawn(CHIRAL), clips=clips), **MADE)
    assert batch.hard[3:] == batch.texts[:3]
    monkeypatch.setattr(lesson_losses, "embed", counted)
    LessonLosses(backbone, lambda: 0.1).contrast(batch)
    told = [content.text for content in read if content.clip is None]
    assert len(told) == len(set(told)) and {*told} == {*batch.texts, *batch.hard}


@pytest.mark.parametrize("epoch", range(4))
def test_a_wrong_text_stands_beside_the_true_one_in_like_words(epoch) -> None:
    """Else a way of saying things, such as a denial, would be wrong wherever it is met."""
    denied = Example(
        captions=("a fox runs", "a fox is running", "there runs a fox"),
        mismatches=(wrong("a fox runs. No fox.", "a fox runs. No dog."),),
        backward=("a fox runs back", "back runs a fox"),
    )
    shown = [denied, STILL]
    found = made(shown, epoch, paired=1.0)
    assert found.texts[0] == "a fox runs. No dog." and found.hard[0] == "a fox runs. No fox."
    assert found.texts[2] in denied.backward and found.hard[2] == found.texts[0]
    assert found.texts[1] in STILL.captions and found.hard[1] in denied.captions
    two = worded(shown, epoch, paired=1.0)
    assert two.texts[0] == "a fox runs. No dog." and two.others[0] in denied.captions
    assert made(shown, epoch, paired=1.0, hard=False).texts[0] in denied.captions
    detailed = replace(denied, details=("one. two.", "three. four."))
    assert made([detailed], epoch, paired=1.0, detailed=True).texts[0] in detailed.details


def test_no_text_is_both_said_and_contrasted_when_it_is_paired() -> None:
    twice = Example(captions=("a fox runs", "it runs"), mismatches=(wrong("no", "a fox runs"),))
    for epoch in range(9):
        found = made([twice], epoch, paired=1.0)
        assert found.texts != found.said
        two = worded([twice], epoch, paired=1.0)
        assert two.texts != two.others


@torch.inference_mode()
def test_a_clip_with_an_edit_looks_for_what_comes_of_it(backbone) -> None:
    """Among what comes of the others, and its own text as it was: a naive twin."""
    clips = [backbone.vision(moving_frames(4, 56, 84, n)) for n in range(3)]
    batch = edited(replace(drawn(CHIRAL), clips=clips))
    assert batch.edits[0] == "paint a fox red"
    assert (batch.texts[0], batch.before[0]) == ("a red fox moves", "a fox moves")

    def vectors(contents):
        return embed(backbone, contents).double().numpy()

    queries = zip(clips, batch.edits, strict=True)
    queries_BD = vectors([Content(clip=c, text=edit, role="query") for c, edit in queries])
    texts_BD, before_BD = (
        vectors([Content(text=text, role="query") for text in texts])
        for texts in (batch.texts, batch.before)
    )
    scores_BB = queries_BD @ texts_BD.T / 0.1
    own_B, hard_B = scores_BB.diagonal(), (queries_BD * before_BD).sum(axis=1) / 0.1
    forward_B = np.log(np.exp(scores_BB).sum(axis=1) + np.exp(hard_B)) - own_B
    back_B = np.log(np.exp(scores_BB).sum(axis=0)) - own_B
    found = LessonLosses(backbone, lambda: 0.1).compose(batch)
    assert float(found) == pytest.approx((forward_B + back_B).sum() / 2, rel=1e-4)


@pytest.mark.parametrize("epoch", range(4))
def test_a_moment_is_told_apart_from_windows_of_its_own_length_too(epoch) -> None:
    """Else the longest clip would be the right one, whatever the text says."""
    span = Span(0.5, 2.5)
    spun = Example(moments=(SimpleNamespace(text="a fox spins", span=span),))
    clip = Features(np.arange(30.0).reshape(10, 3), np.arange(10) / 2)
    one = Drawn(examples=[spun], clips=[clip], dice=[np.random.default_rng(epoch)])
    cut, texts, labels_1N = moments(one, window_s=1.0, stride_s=0.5)
    assert texts == ["a fox spins"]
    frames = {label: set() for label in (-1, 0, 1)}
    for found, label in zip(cut, labels_1N[0].tolist(), strict=True):
        frames[int(label)].add(len(found.times_F))
    assert frames[1] == {4}
    assert frames[-1] == {2, 4}


@pytest.mark.parametrize("near", [0.0, 0.5, 0.8, 1.0])
def test_a_text_that_fits_is_followed_by_one_that_is_wrong_in_a_fact_or_of_another(near) -> None:
    shown = [CHIRAL[n % 3] for n in range(600)]
    clips, texts, fits = matches(drawn(shown), near=near)
    assert len(clips) == len(texts) == 1200
    assert fits == [True, False] * 600
    assert all(one is other for one, other in zip(clips[::2], clips[1::2], strict=True))
    assert texts[::2] == [one.mismatches[0].true for one in shown]
    behind = [*shown[1:], shown[0]]
    facts = [text == one.mismatches[0].wrong for one, text in zip(shown, texts[1::2], strict=True)]
    for fact, text, other in zip(facts, texts[1::2], behind, strict=True):
        assert fact or text == other.mismatches[0].true
    assert sum(facts) == pytest.approx(600 * near, abs=60 * (0 < near < 1))


def test_a_lone_video_has_wrong_facts_only() -> None:
    _, alone, fits = matches(drawn([CHIRAL[0]] * 20), near=0.0)
    assert {text for text, fit in zip(alone, fits, strict=True) if not fit} == {"a fox rests"}


def many(name: str, count: int) -> Example:
    """So many questions, each its own answer, and so many pairs of texts."""
    return Example(
        questions=tuple(
            SimpleNamespace(question=f"{name} {n}?", answer=f"{name} {n}", options=())
            for n in range(count)
        ),
        mismatches=tuple(wrong(f"{name} not {n}", f"{name} {n}") for n in range(count)),
    )


@pytest.mark.parametrize("epoch", range(5))
def test_several_are_asked_of_each_clip_none_twice(epoch) -> None:
    examples = [many("a", 5), many("b", 2), many("c", 3)]
    found = drawn(examples, epoch)
    clips, asked, answers = questions(found, 3)
    shown = [found.clips[n] for n in (0, 0, 0, 1, 1, 2, 2, 2)]
    assert all(clip is wanted for clip, wanted in zip(clips, shown, strict=True))
    assert len(set(asked)) == len(asked) and [text[:-1] for text in asked] == answers
    assert [text[0] for text in asked] == list("aaabbccc")
    found = drawn(examples, epoch)
    clips, texts, fits = matches(found, 5)
    shown = [found.clips[n] for n in [0] * 6 + [1] * 4 + [2] * 6]
    assert all(clip is wanted for clip, wanted in zip(clips, shown, strict=True))
    for number, (text, fit) in enumerate(zip(texts, fits, strict=True)):
        name = "aaaaaabbbbcccccc"[number]
        assert fit == (text[0] == name and "not" not in text)
    assert len({text[-1] for text in texts[:6:2]}) == 3


def test_the_first_that_is_asked_is_the_one_that_would_be_asked_alone() -> None:
    examples = [many("a", 5), many("b", 5)]
    for epoch in range(5):
        (first, _, second, _) = questions(drawn(examples, epoch), 2)[2]
        assert [first, second] == questions(drawn(examples, epoch))[2]


def test_no_text_both_fits_a_video_and_does_not() -> None:
    pairs = (wrong("it stops", "it runs"), wrong("it flies", "it rests"))
    other = Example(mismatches=(wrong("it sinks", "it rests"), wrong("it flies", "it runs")))
    broken = Example(mismatches=(*pairs, wrong("it rests", "it sits")))
    for epoch in range(30):
        for first in (Example(mismatches=pairs), broken):
            clips, texts, fits = matches(drawn([first, other], epoch), 3)
            said = {
                (id(clip), text): fit for clip, text, fit in zip(clips, texts, fits, strict=True)
            }
            for clip, text, fit in zip(clips, texts, fits, strict=True):
                assert said[id(clip), text] == fit
