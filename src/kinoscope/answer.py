"""Questions answered in words, from moments of a video or of a library, with the place of each.

A question is looked for as it stands: without its question words it is found no better, see
`docs/LOG.md`. Whoever knows better what to look for searches for that, and asks about the hits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinoscope.backbones.likelihood import answer_tokens, log_likelihoods, require_speaker
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.speech import Said, said
from kinoscope.documents import Document, Excerpt, checked_options, checked_words
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.filters import EVERYTHING, Filters
from kinoscope.index.handle import Index
from kinoscope.moments import check_count, clips_of, locate, pieces_of
from kinoscope.prompts import choice_prompt
from kinoscope.retrieval import search
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content, Float64, Hit, Span

MOST_BYTES = 4096
"""Of a question, or of a choice: what is longer would crowd out the video it is about."""

MOMENTS = 3
"""How many are asked about where nobody says."""

Read = Callable[[Excerpt], Document]

_GROUP = 8  # moments whose frames are in memory


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model answers, having seen one stretch of one video.

    Attributes:
        rank: of the moment, 1 for the one that fits the question best; the order says nothing of
            the answers.
        text: the answer; empty where the model had nothing to say.
        path, span: the file and the `[start_s, end_s)` of it that the model was shown, and nothing
            else.
        log_likelihood: how sure the model is of its words: the natural logarithm of the probability
            of a token, given those before it, as a mean over the tokens of the answer and its end
            of turn. 0 is certainty. It is not calibrated.
        complete: False for an answer that was cut off.
        shares: where there were choices, how probable each is, in their order, among them; their
            sum is 1. Empty without choices.
        hit: how the moment was found in a library; None in a single video.
    """

    rank: int
    text: str
    path: Path
    span: Span
    log_likelihood: float
    complete: bool = True
    shares: tuple[float, ...] = ()
    hit: Hit | None = None

    def __post_init__(self) -> None:
        assert self.rank >= 1, self.rank
        assert math.isfinite(self.log_likelihood), self.log_likelihood
        assert not self.shares or math.isclose(sum(self.shares), 1.0, abs_tol=1e-4), self.shares


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """How a question is put to a model.

    Attributes:
        choices: answers to choose from, the likeliest being the answer; without them the model
            answers in its own words.
        find: what is looked for, where the question is no description of it.
        around_s: seconds that are shown before and after each moment, as far as the video goes.
        max_new_tokens: where an answer in the model's own words is cut off.

    Raises `UsageError` for a value out of its range.
    """

    choices: tuple[str, ...] = ()
    find: str | None = None
    around_s: float = 0.0
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        for choice in checked_options(self.choices, "choice"):
            _check_length(choice, "choice")
        if self.find is not None:
            checked_words(self.find, "text to find")
        if not (math.isfinite(self.around_s) and self.around_s >= 0):
            raise UsageError(f"around_s {self.around_s}: show 0 seconds or more around a moment")
        if type(self.max_new_tokens) is not int or self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens {self.max_new_tokens!r}: give at least 1")


def ask(
    index: Index,
    question: str,
    *,
    k: int = MOMENTS,
    filters: Filters = EVERYTHING,
    threshold: float | None = None,
    options: AskOptions | None = None,
) -> list[Answer]:
    """Answers of the k moments of a library that fit a question best; none if nothing matches.

    `k`, `filters` and `threshold` are those of `search`, which looks for the question, or for what
    the options say.
    Raises `UsageError` for a wrong argument or a model that gives no words, `MediaError` for a
    moment whose file cannot be read, else as `search`.

    >>> ask(index, "What does the fox do?", options=AskOptions(choices=("runs", "sleeps")))
    """
    check_question(question)
    require_speaker(index.embedder.backbone)
    options = options or AskOptions()
    wanted = options.find or question
    hits = search(index, wanted, k=k, filters=filters, threshold=threshold)
    return ask_hits(index, hits, question, options=options)


def ask_hits(
    index: Index, hits: Sequence[Hit], question: str, *, options: AskOptions | None = None
) -> list[Answer]:
    """Answers of moments that were found in an index, in their order: by another query, say.

    Errors are those of `ask`.
    """
    options = options or AskOptions()
    ends_s = {hit.path: _end_s(index, hit.path) for hit in hits} if options.around_s else {}
    places = [
        Excerpt(hit.path, widened(hit.span, options.around_s, ends_s.get(hit.path, math.inf)))
        for hit in hits
    ]
    answers = ask_about(index.embedder, places, question, options=options)
    pairs = zip(answers, hits, strict=True)
    return [replace(answer, rank=hit.rank, hit=hit) for answer, hit in pairs]


def ask_video(
    embedder: Embedder | Index,
    video: str | Path | Excerpt,
    question: str,
    *,
    k: int | None = None,
    options: AskOptions | None = None,
) -> list[Answer]:
    """Answers about one video: of the whole, of a piece that is named, or of its k best moments.

    Args:
        embedder: whose model answers; or an index, whose vectors are used where it holds the file.
        video: a file or a piece of one.
        question: about it.
        k: how many moments. By default the whole is shown if the model then reads all frames that
            it would read of its windows, and `MOMENTS` moments of a longer video.
        options: how the question is put.

    Raises `UsageError` for a wrong argument, a piece behind the end or a model that gives no words,
    `MediaError` for a file without frames.
    """
    check_question(question)
    check_count(1 if k is None else k)
    options, model = options or AskOptions(), _model_of(embedder)
    require_speaker(model.backbone)
    if isinstance(video, Excerpt):
        if k is not None or options.find is not None:
            raise UsageError(f"{video} is asked about as it is: leave k and find out")
        places = [video]
    else:
        places = _places(embedder, Path(video), question, k, options)
    return ask_about(model, places, question, options=options)


def ask_about(
    embedder: Embedder,
    places: Sequence[Excerpt],
    question: str,
    *,
    options: AskOptions | None = None,
    read: Read | None = None,
) -> list[Answer]:
    """Answers about pieces of videos, in their order; nothing is looked for.

    `read` gives what a piece shows; by default it is decoded here. May be called by several
    threads: the model is taken in turns, a few pieces at a time. Errors are those of `ask_video`.
    """
    check_question(question)
    options, speaker = options or AskOptions(), require_speaker(embedder.backbone)
    text = choice_prompt(question, options.choices) if options.choices else question
    answers: list[Answer] = []
    for first in range(0, len(places), _GROUP):
        group = places[first : first + _GROUP]
        shown = group if read is None else map(read, group)
        contents = [Content(clip=embedder.features(each), text=text) for each in shown]
        with embedder.turn:
            answered = list(_answered(speaker, contents, options))
        pairs = zip(group, answered, strict=True)
        answers += [_answer(first + n, *pair) for n, pair in enumerate(pairs, start=1)]
    return answers


def check_question(question: object) -> str:
    """The question itself; `UsageError` for one that is empty, no text or too long."""
    text = checked_words(question, "question")
    _check_length(text, "question")
    return text


def _check_length(text: str, noun: str) -> None:
    size_bytes = len(text.encode())
    if size_bytes > MOST_BYTES:
        raise UsageError(f"the {noun} has {size_bytes} bytes: put it in at most {MOST_BYTES}")


def _answered(
    speaker: MLLM, contents: Sequence[Content], options: AskOptions
) -> Iterator[tuple[Said, tuple[float, ...]]]:
    """The words on each content, and the share of each choice."""
    choices = options.choices
    if not choices:
        for words in said(speaker, contents, max_new_tokens=options.max_new_tokens):
            yield words, ()
        return
    shown = [content for content in contents for _ in choices]
    sums_N = log_likelihoods(speaker, shown, [*choices] * len(contents)).astype(np.float64)
    for sums_K in sums_N.reshape(len(contents), len(choices)):
        best = int(sums_K.argmax())
        mean = float(sums_K[best]) / answer_tokens(speaker, choices[best])
        yield Said(text=choices[best], log_likelihood=mean, complete=True), _shares(sums_K)


def _answer(rank: int, place: Excerpt, answered: tuple[Said, tuple[float, ...]]) -> Answer:
    words, shares = answered
    return Answer(
        rank=rank,
        text=words.text,
        path=place.path,
        span=place.span,
        log_likelihood=words.log_likelihood,
        complete=words.complete,
        shares=shares,
    )


def _shares(sums_K: Float64) -> tuple[float, ...]:
    worth_K = np.exp(sums_K - sums_K.max())
    return tuple(map(float, worth_K / worth_K.sum()))


def _places(
    embedder: Embedder | Index, video: Path, question: str, k: int | None, options: AskOptions
) -> list[Excerpt]:
    """The whole of a video, or its best moments."""
    model, clips = _model_of(embedder), clips_of(embedder, video)
    whole = clips.spans[0]
    if k is None and is_read_whole(model.sampling, whole):
        return [Excerpt(video, whole)]
    query_D = model.encode_query([{"text": options.find or question}])[0]
    located = locate(clips, query_D, k=k or MOMENTS, embed=pieces_of(model, video))
    spans = [widened(each.span, options.around_s, whole.end_s) for each in located.moments]
    return [Excerpt(video, span) for span in spans]


def is_read_whole(sampling: SamplingConfig, whole: Span) -> bool:
    """Whether no frame of the sampling's grid is left out when the whole is one clip."""
    most = sampling.clip_frames
    return most is None or whole.end_s * sampling.fps <= most


def widened(span: Span, around_s: float, end_s: float) -> Span:
    """A span with so many seconds before and after it, as far as the video goes."""
    if not around_s:
        return span
    return Span(max(0.0, span.start_s - around_s), min(end_s, span.end_s + around_s))


def _end_s(index: Index, path: Path) -> float:
    """Where an indexed video ends; `UsageError` for one that is not."""
    catalog = index.derived().catalog
    if str(path) not in catalog.paths:
        raise UsageError(f"{path} is not in the index: ask about what its own search has found")
    return float(catalog.duration_s_V[catalog.path_video_P[catalog.paths.index(str(path))]])


def _model_of(embedder: Embedder | Index) -> Embedder:
    return embedder.embedder if isinstance(embedder, Index) else embedder
