"""What each lesson reads: texts and features of a draw's examples, chosen by seeded chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinoscope.prompts import DESCRIBE, DETAIL, choice_prompt
from kinoscope.training.losses import window_labels
from kinoscope.types import Features, Float32, Span

Sides = tuple[Sequence[str], Sequence[str]]
"""Captions of a clip, and of the same clip played backwards."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Examples of a draw, features of their videos, and the chance that chooses their texts."""

    examples: Sequence[Any]
    clips: list[Features]
    dice: list[Any]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Inputs of contrast and captions; video i belongs to text i.

    Attributes:
        clips, texts: the first are the draw's own; partners, reversed in time, stand behind them.
        hard: a text for each pair that is no caption of its video; empty: none.
        asked: what is asked of the clips that are told, and `said`, their captions: one for each
            of the first clips.
    """

    clips: list[Features]
    texts: list[str]
    hard: list[str]
    asked: str
    said: list[str]


@dataclass(frozen=True, kw_only=True)
class Wordings:
    """Inputs of a contrast of texts alone; text i and other i say the same in other words.

    Attributes:
        texts, others: the first are the draw's own; those of the same videos played backwards
            stand behind them.
        hard: a text for each of the draw that is wrong in one fact; empty: none.
    """

    texts: list[str]
    others: list[str]
    hard: list[str]


@dataclass(frozen=True, kw_only=True)
class Edited:
    """Inputs of composed queries: clip i with edit i looks for text i.

    Attributes:
        before: what holds of the clip as it is, in like words: the text that the edit makes wrong.
    """

    clips: list[Features]
    edits: list[str]
    texts: list[str]
    before: list[str]


def captioned(drawn: Drawn, partners: float) -> tuple[list[str], list[Features]]:
    """A caption of each clip, partners reversed in time behind them as in `pairs`."""
    texts, backward = [], []
    for number, (example, rng) in enumerate(zip(drawn.examples, drawn.dice, strict=True)):
        texts.append(example.captions[int(rng.integers(len(example.captions)))])
        if example.backward and rng.random() < partners:
            backward.append((number, example.backward[int(rng.integers(len(example.backward)))]))
    clips = [*drawn.clips, *(reversed_in_time(drawn.clips[number]) for number, _ in backward)]
    return [*texts, *(text for _, text in backward)], clips


def opposed(drawn: Drawn) -> tuple[list[Features], list[Sides]]:
    """Clips, behind them the same ones reversed in time; and all captions of each, both ways."""
    told = [(example.captions, example.backward) for example in drawn.examples]
    return [*drawn.clips, *map(reversed_in_time, drawn.clips)], told


def pairs(
    drawn: Drawn, *, detailed: bool, partners: float, hard: bool, paired: float, told: float
) -> Pairs:
    """Clips with a true text, and another true text to say: the two are drawn apart.

    Args:
        detailed: whether the texts are the long ones.
        partners: probability that a video whose reversal has texts brings it along as a pair.
        hard: whether a wrong text is told apart from each video, where the examples have some.
        paired: probability that a short text is the true one beside the wrong one.
        told: share of the draw that is taught a caption.
    """
    texts, said, backward = [], [], []
    for number, (example, rng) in enumerate(zip(drawn.examples, drawn.dice, strict=True)):
        known = example.details if detailed else example.captions
        one, other = rng.choice(len(known), size=2, replace=False)
        texts.append(known[one])
        said.append(known[other])
        if not detailed and example.backward and rng.random() < partners:
            text = example.backward[int(rng.integers(len(example.backward)))]
            backward.append((number, text))
    wrong = _wrong_texts(drawn, texts) if hard else []
    if not detailed:
        texts = _beside(drawn, texts, wrong, said, paired)
    clips = [*drawn.clips, *(reversed_in_time(drawn.clips[number]) for number, _ in backward)]
    return Pairs(
        clips=clips,
        texts=[*texts, *(text for _, text in backward)],
        # a partner is already told apart from the text of what it reverses
        hard=[*(text for text, _ in wrong), *(texts[number] for number, _ in backward if wrong)],
        asked=DETAIL if detailed else DESCRIBE,
        said=said[: max(1, round(told * len(said)))],
    )


def wordings(drawn: Drawn, *, partners: float, hard: bool, paired: float) -> Wordings:
    """Two captions of each video, and with probability `partners` two of its reversal.

    `hard` adds a wrong text of each video, where the examples have some; with probability `paired`
    the true one beside it is one of the two.
    """
    chosen, backward = [], []
    for example, rng in zip(drawn.examples, drawn.dice, strict=True):
        chosen.append(_two(example.captions, rng))
        if len(example.backward) > 1 and rng.random() < partners:
            backward.append(_two(example.backward, rng))
    texts, others = (list(side) for side in zip(*chosen, *backward, strict=True))
    count = len(chosen)
    wrong = _wrong_texts(drawn, texts[:count]) if hard else []
    texts[:count] = _beside(drawn, texts[:count], wrong, others[:count], paired)
    return Wordings(texts=texts, others=others, hard=[text for text, _ in wrong])


def _two(texts: Sequence[str], rng: Any) -> tuple[str, str]:
    one, other = rng.choice(len(texts), size=2, replace=False)
    return texts[one], texts[other]


def _beside(
    drawn: Drawn,
    texts: list[str],
    wrong: Sequence[tuple[str, str]],
    taken: Sequence[str],
    paired: float,
) -> list[str]:
    """Texts, with probability `paired` the true one beside a wrong one, unless it is `taken`."""
    found = list(texts)
    for number, ((_, true), rng) in enumerate(zip(wrong, drawn.dice, strict=False)):
        if rng.random() < paired and true != taken[number]:
            found[number] = true
    return found


def _wrong_texts(drawn: Drawn, texts: Sequence[str]) -> list[tuple[str, str]]:
    """One a video, and a true one in like words; where an example has none, a text of the next,
    which is a negative anyway, and the video's own.

    None at all where no example has some, or where there is no other text to put there.
    """
    if not any(example.mismatches for example in drawn.examples):
        return []
    found = []
    for number, (example, rng) in enumerate(zip(drawn.examples, drawn.dice, strict=True)):
        if example.mismatches:
            pair = example.mismatches[int(rng.integers(len(example.mismatches)))]
            found.append((pair.wrong, pair.true))
            continue
        behind = [*texts[number + 1 :], *texts[:number]]
        others = [text for text in behind if text != texts[number]]
        if not others:
            return []
        found.append((others[0], texts[number]))
    return found


def edited(drawn: Drawn) -> Edited:
    """An edit of each clip, and captions of what comes of it and of what was."""
    chosen = [
        example.told_edits[int(rng.integers(len(example.told_edits)))]
        for example, rng in zip(drawn.examples, drawn.dice, strict=True)
    ]
    return Edited(
        clips=drawn.clips,
        edits=[edit.text for edit in chosen],
        texts=[edit.after for edit in chosen],
        before=[edit.before for edit in chosen],
    )


def judged(drawn: Drawn, temperature: float) -> tuple[list[str], Float32, Float32]:
    """A sentence for each clip by the teacher's shares of those near it, and teacher's vectors.

    Texts, vectors of the clips [B, D] and of their texts [B, D].
    """
    texts, places = [], []
    for example, rng in zip(drawn.examples, drawn.dice, strict=True):
        near = example.judged
        scores_K = near.texts_KD.astype(np.float64) @ near.video_D / temperature
        shares_K = np.exp(scores_K - scores_K.max())
        places.append(int(rng.choice(len(near), p=shares_K / shares_K.sum())))
        texts.append(near.texts[places[-1]])
    found = [example.judged for example in drawn.examples]
    videos_BD = np.stack([near.video_D for near in found])
    texts_BD = np.stack([near.texts_KD[k] for near, k in zip(found, places, strict=True)])
    return texts, videos_BD, texts_BD


def questions(drawn: Drawn, count: int = 1) -> tuple[list[Features], list[str], list[str]]:
    """Clips, what is asked of each, half of the time with options, and the answers.

    `count` questions a clip, one behind the other; all it has where those are fewer.
    """
    clips, asked, answers = [], [], []
    for example, clip, rng in zip(drawn.examples, drawn.clips, drawn.dice, strict=True):
        for question in _some(example.questions, count, rng):
            clips.append(clip)
            asked.append(prompt_of(question, choose=bool(rng.integers(2))))
            answers.append(question.answer)
    return clips, asked, answers


def matches(
    drawn: Drawn, count: int = 1, *, near: float = 0.5
) -> tuple[list[Features], list[str], list[bool]]:
    """Clips, texts for each, and whether they fit: every other one does.

    A text that fits is followed by one that does not. With probability `near` that is the same but
    for one fact, else another video's: what is wrong everywhere is learned first, and then teaches
    nothing more. A lone video has the first kind only. What any pair calls true of a video is never
    given as one that does not fit it. `count` texts a clip, one more where that is odd, one behind
    the other; two for each of its `mismatches` where those are fewer.
    """
    chosen = [
        _some(example.mismatches, (count + 1) // 2, rng)
        for example, rng in zip(drawn.examples, drawn.dice, strict=True)
    ]
    clips, texts, fits = [], [], []
    for number, (example, rng) in enumerate(zip(drawn.examples, drawn.dice, strict=True)):
        true = {pair.true for pair in example.mismatches}
        others = chosen[(number + 1) % len(chosen)]
        for place, pair in enumerate(chosen[number]):
            other = others[place % len(others)].true
            wrong = pair.wrong if rng.random() < near or other in true else other
            clips += [drawn.clips[number]] * 2
            texts += [pair.true, wrong]
            fits += [True, wrong in true]
    return clips, texts, fits


def _some(items: Sequence[Any], count: int, rng: Any) -> list[Any]:
    """`count` different items in the order of chance; all where they are fewer."""
    left = list(items)
    return [left.pop(int(rng.integers(len(left)))) for _ in range(min(count, len(left)))]


def moments(
    drawn: Drawn, *, window_s: float, stride_s: float
) -> tuple[list[Features], list[str], Any]:
    """Cut clips of all videos' windows, a text of each video, and their labels [Q, N].

    Windows are `window_s` long, and as long as the moment: its length must not give it away. Its
    own span is among them. Windows on which the same text is true once more are left out.
    """
    texts, wanted, windows, cut = [], [], [], []
    for number, (example, clip, rng) in enumerate(
        zip(drawn.examples, drawn.clips, drawn.dice, strict=True)
    ):
        moment = example.moments[int(rng.integers(len(example.moments)))]
        texts.append(moment.text)
        wanted.append((number, moment.span))
        again = [m.span for m in example.moments if m.text == moment.text and m is not moment]
        lengths = (window_s, moment.span.end_s - moment.span.start_s)
        slid = [w for length_s in lengths for w in sliding_windows(clip, length_s, stride_s)]
        fair = [w for w in slid if not any(w.iou(s) >= 0.2 for s in again)]
        for span in dict.fromkeys([moment.span, *fair]):
            windows.append((number, span))
            cut.append(within(clip, span))
    return cut, texts, window_labels(wanted, windows)


def sliding_windows(clip: Features, window_s: float, stride_s: float) -> list[Span]:
    """Sliding windows of one length over a clip."""
    end_s = float(clip.times_F[-1])
    starts = np.arange(0.0, max(0.0, end_s - window_s) + 1e-9, stride_s)
    return [Span(float(start), float(start) + window_s) for start in starts]


def prompt_of(question: Any, *, choose: bool) -> str:
    """A question as it stands, or with its options to choose from."""
    if not choose or not question.options:
        return str(question.question)
    return choice_prompt(question.question, question.options)


def within(clip: Features, span: Span) -> Features:
    """The frames of a span; where there is none, the one nearest to its middle."""
    inside = (clip.times_F >= span.start_s) & (clip.times_F < span.end_s)
    if not inside.any():
        inside[np.abs(clip.times_F - (span.start_s + span.end_s) / 2).argmin()] = True
    return clip.take(np.flatnonzero(inside).tolist())


def reversed_in_time(clip: Features) -> Features:
    """The clip played backwards: what is known of each frame alone is the same then."""
    times_F = clip.times_F
    values_F = np.ascontiguousarray(clip.values_F[::-1])  # PyTorch reads no array backwards
    return Features(values_F, times_F[0] + times_F[-1] - times_F[::-1])
