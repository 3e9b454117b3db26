"""Thinking inside the lessons: gradients, no leak, exact resume, and nothing changed without it."""

from dataclasses import asdict, replace

import pytest
import torch

from kinoscope.backbones.loading import load_backbone
from kinoscope.errors import UsageError
from kinoscope.thinking.config import Thinking
from kinoscope.thinking.halting import p_BK
from kinoscope.thinking.thinker import prefixes
from kinoscope.training.gather import alone
from kinoscope.training.lesson_batches import Pairs
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.loop import train
from kinoscope.training.losses import two_way
from kinoscope.training.sampler import Draw
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import embed
from kinoscope.training.thinking_losses import THINKING_TERMS, ThinkingLossConfig, thinking_terms
from kinoscope.training.thoughts import PREFIX, ThinkingLesson, Thoughts
from kinoscope.types import Content
from tests.tiny import tiny
from tests.training.lesson_films import NAMES, Films, example, loss_of
from tests.training.tiny_thinking import BOTH, BUDGET, IN_TWO, IN_WORDS, VIDEOS

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_torch_thread):
    return tiny("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")


@pytest.fixture
def backbone(folder):
    return load_backbone(str(folder))[0]


def config(thinking: ThinkingLesson | None, **fields) -> LessonConfig:
    return LessonConfig(temperature=0.2, thinking=thinking, **fields)


def lessons_of(backbone, thinking: ThinkingLesson, steps: int = 10, **fields) -> Lessons:
    thoughts = Thoughts(backbone, thinking, steps)
    return Lessons(backbone, Films(backbone), config(thinking, **fields), thoughts=thoughts)


def learned(lessons: Lessons) -> dict[str, torch.Tensor]:
    return {n: v for n, v in lessons.parameters() if n.startswith(PREFIX)}


def total_of(lessons: Lessons, part: str = "captions", step: int = 1):
    batch = lessons.batch(Draw(part, 0, (0, 1, 2, 3)))
    terms = lessons.losses(batch, step)
    return terms, terms.total(batch.counts)


# without thinking


def test_without_thinking_every_loss_is_what_it_was_and_old_runs_go_on(backbone) -> None:
    plain = config(None)
    known = asdict(plain)
    assert known.pop("thinking") is None
    assert plain.describe() == str(known), "resuming compares it"
    lessons = Lessons(backbone, Films(backbone), plain)
    batch = lessons.batch(Draw("captions", 0, (0, 1, 2)))
    assert set(batch.counts) == {"contrast", "caption"}
    (made,) = batch.inputs
    video_BD = embed(backbone, [Content(clip=clip) for clip in made.clips])
    texts = [*made.texts, *made.hard]
    text_ND = embed(backbone, [Content(text=text) for text in texts])
    text_BD, hard_BD = text_ND.split([len(made.texts), len(made.hard)])
    same = torch.tensor([[one == other for other in made.texts] for one in made.texts])
    heat = lessons._temperature()
    naive = two_way(
        alone(video_BD),
        alone(text_BD),
        temperature=heat,
        hard_text=hard_BD[:, None],
        same_BN=same,
    )
    assert torch.equal(lessons.losses(batch, 1).sums["contrast"], naive.rows_B.sum())


# the terms of a lesson


WEIGHED = tuple(name for name in THINKING_TERMS if name != "gain")


@pytest.mark.parametrize("lesson", ["captions", "details"])
@pytest.mark.parametrize("thinking", [VIDEOS, BOTH])
def test_terms_are_named_counted_and_weighed_by_the_contrast(backbone, lesson, thinking) -> None:
    lessons = lessons_of(
        backbone, thinking, shares={lesson: 1.0}, weights={"contrast": 0.5, "caption": 1.0}
    )
    batch = lessons.batch(Draw(lesson, 0, (0, 1, 2, 3)))
    terms = lessons.losses(batch, 1)
    assert set(terms.sums) == set(batch.counts) == {*WEIGHED, "caption"}
    pairs = len(batch.inputs[0].clips)
    assert {batch.counts[name] for name in WEIGHED} == {pairs}
    factors = {"ponder": 1.0, "stepwise": 0.3, "monotone": 0.1, "prior": 0.01}
    for name, factor in factors.items():
        assert terms.weights[name] == pytest.approx(0.5 * factor)
    assert all(bool(torch.isfinite(value)) for value in terms.sums.values())


def test_terms_are_those_of_each_prefix_against_the_last_texts(backbone) -> None:
    lessons = lessons_of(backbone, BOTH)
    (made,) = lessons.batch(Draw("captions", 0, (0, 1, 2))).inputs
    thinker = Thoughts(backbone, BOTH, 10).thinker
    _, video_BKD, video_BK = prefixes(
        thinker, [Content(clip=clip) for clip in made.clips], 4, "document"
    )
    texts = [Content(text=text, role="query") for text in [*made.texts, *made.hard]]
    _, text_NKD, text_NK = prefixes(thinker, texts, 4, "query")
    text_BKD, hard_BKD = text_NKD.split([len(made.texts), len(made.hard)])
    same = torch.tensor([[one == other for other in made.texts] for one in made.texts])
    options = {
        "temperature": lessons._temperature(),
        "hard_text": hard_BKD[:, -1:],
        "same_BN": same,
    }
    of_videos, of_texts = (
        torch.stack([two_way(*sides, **options).rows_B for sides in steps], dim=1)
        for steps in (
            [(alone(video_BKD[:, k]), alone(text_BKD[:, -1])) for k in range(4)],
            [(alone(video_BKD[:, -1]), alone(text_BKD[:, k])) for k in range(4)],
        )
    )
    count = len(made.texts)
    sides = [
        thinking_terms(of_videos, p_BK(video_BK), BUDGET),
        thinking_terms(of_texts, p_BK(text_NK[:count]), BUDGET),
    ]
    found = lessons.losses(lessons.batch(Draw("captions", 0, (0, 1, 2))), 1).sums
    for name in WEIGHED:
        mean = (sides[0][name] + sides[1][name]) / 2
        assert float(found[name].detach()) == pytest.approx(float(mean.detach()), rel=1e-4)


def test_halting_learns_of_gains_where_they_weigh_something(backbone) -> None:
    loss = replace(BUDGET, gain=0.5)
    lessons = lessons_of(backbone, replace(VIDEOS, loss=loss), weights={"contrast": 1.0})
    terms, _total = total_of(lessons)
    assert set(terms.sums) == set(THINKING_TERMS)
    terms.sums["gain"].backward()
    reached = {n for n, v in lessons.parameters() if v.grad is not None and bool(v.grad.any())}
    assert {"thinking.halting.weight", "thinking.halting.bias"} <= reached
    assert "temperature" not in reached


def test_before_it_has_learned_one_thought_is_the_plain_vector(backbone) -> None:
    contents = [Content(text=text) for text in ("a fox", "a door opens slowly")]
    first_ND = embed(Thoughts(backbone, VIDEOS, 10).thinker, contents)
    torch.testing.assert_close(first_ND, embed(backbone, contents), rtol=1e-4, atol=1e-5)


def test_halting_is_off_at_first_and_on_later(backbone) -> None:
    held = replace(VIDEOS, loss=replace(BUDGET, held=0.2))
    lessons = lessons_of(backbone, held, steps=10)
    for step, on in ((1, False), (2, False), (3, True), (10, True)):
        for value in learned(lessons).values():
            value.grad = None
        terms, total = total_of(lessons, step=step)
        total.backward()
        grad = learned(lessons)["thinking.halting.weight"].grad
        assert (grad is not None and bool(grad.any())) == on, step
        assert (float(terms.sums["prior"].detach()) > 0) == on
        mean = float(terms.sums["stepwise"].detach())
        assert (float(terms.sums["ponder"].detach()) == pytest.approx(mean, rel=1e-6)) != on


@pytest.mark.parametrize("thinking", [VIDEOS, BOTH, IN_WORDS, replace(VIDEOS, head="mean")])
def test_a_gradient_reaches_everything_that_learns(backbone, thinking) -> None:
    lessons = lessons_of(backbone, thinking, weights={"contrast": 1.0})
    for value in learned(lessons).values():  # its maps are zero at first, and pass nothing on
        torch.nn.init.normal_(value, std=0.1)
    total_of(lessons)[1].backward()
    for name, value in lessons.parameters():
        assert value.grad is not None and bool(value.grad.any()), name


def test_thinking_learns_at_its_own_rate_and_is_never_frozen(backbone, tmp_path) -> None:
    fields = {"trained": ("norm",), "frozen": ("kv_former", "halting", "thinking")}
    lessons = lessons_of(backbone, VIDEOS, **fields)
    names = set(learned(lessons))
    assert {"thinking.halting.weight", "thinking.kv_former.keys"} <= names
    before = {n: v.detach().clone() for n, v in lessons.parameters()}
    train(lessons, LoopConfig(steps=2, batch=4, lr=1e-3, rates={PREFIX: 5.0}), tmp_path / "run")
    moved = {n for n, v in lessons.parameters() if (v != before[n]).any()}
    assert names - {"thinking.kv_former.query.weight"} <= moved


@pytest.mark.parametrize("thinking", [IN_TWO, IN_WORDS])
def test_thinking_is_learned(backbone, thinking, tmp_path) -> None:
    """In few steps: the gradient through many, of a model that knows nothing, is rough."""
    lessons = lessons_of(backbone, thinking, steps=12, weights={"contrast": 1.0})
    before = loss_of(lessons, "captions")
    train(lessons, LoopConfig(steps=12, batch=6, lr=3e-3, warmup=0.1), tmp_path / "run")
    assert loss_of(lessons, "captions") < 0.95 * before


def test_the_budget_moves_the_steps(backbone, tmp_path) -> None:
    """The prior alone, of much weight: halting goes where its mean is."""
    means = []
    for target in (1.2, 2.4):
        loss = ThinkingLossConfig(rho=0, gamma=0, beta=100.0, target_steps=target, held=0.0)
        thinking = replace(VIDEOS, loss=loss)
        fields = {"trained": ("nothing else",), "partners": 0.0, "weights": {"contrast": 1.0}}
        lessons = lessons_of(backbone, thinking, **fields)
        thinker = lessons._thoughts.thinker
        with torch.no_grad():
            thinker.halting.bias.zero_()
        place = tmp_path / str(target)
        train(lessons, LoopConfig(steps=24, batch=3, lr=0.1, warmup=0.1), place)
        clips = [Content(clip=Films(backbone).features(n)) for n in range(6)]
        with torch.no_grad():
            chances_BK = p_BK(prefixes(thinker, clips, 4, "document")[2])
        means.append(float((chances_BK * torch.arange(1, 5)).sum(1).mean()))
    assert means[0] < 1.5
    assert means[1] - means[0] > 0.3


# leaks


@pytest.mark.parametrize("thinking", [BOTH, IN_WORDS])
def test_no_caption_is_read_as_a_thought(backbone, thinking) -> None:
    """The terms stay the same whatever is said; a step reads what the model itself finds likely."""
    lessons = lessons_of(backbone, thinking, weights={"contrast": 1.0, "caption": 1.0})
    batch = lessons.batch(Draw("captions", 0, (0, 1, 2, 3)))
    (made,) = batch.inputs
    for number, said in enumerate(made.said):
        assert said in example(NAMES[number]).captions
        assert said != made.texts[number]
    other = Pairs(
        clips=made.clips,
        texts=made.texts,
        hard=made.hard,
        asked=made.asked,
        said=[text for text in made.texts[: len(made.said)]],
    )
    with torch.no_grad():
        one = lessons.losses(batch, 1).sums
        two = lessons.losses(replace(batch, inputs=(other,)), 1).sums
    for name in THINKING_TERMS:
        if name in one:
            assert torch.equal(one[name], two[name])
    assert not torch.equal(one["caption"], two["caption"])


def test_the_texts_of_a_batch_do_not_change_a_videos_thoughts(backbone, monkeypatch) -> None:
    lessons = lessons_of(backbone, IN_WORDS, weights={"contrast": 1.0})
    batch = lessons.batch(Draw("captions", 0, (0, 1)))
    read: list[torch.Tensor] = []
    thoughts = lessons._thoughts
    plain = thoughts._read

    def noting(contents, role):
        found = plain(contents, role)
        if role == "document":
            read.append(found[0].detach())
        return found

    monkeypatch.setattr(thoughts, "_read", noting)
    lessons.losses(batch, 1)
    changed = replace(batch.inputs[0], texts=["another text"] * len(batch.inputs[0].texts))
    lessons.losses(replace(batch, inputs=(changed,)), 1)
    assert torch.equal(*read)


def test_text_steps_are_the_tokens_that_the_model_finds_likeliest(backbone) -> None:
    """Teacher forcing would give other states: those after its own words are given here."""
    thoughts = Thoughts(backbone, IN_WORDS, 10)
    content = Content(clip=Films(backbone).features(0))
    with torch.no_grad():
        states_KD = prefixes(thoughts.thinker, [content], 4, "document")[0][0]
        session = backbone.read([content])
        head_VD = backbone.checkpoint.model.get_output_embeddings().weight
        for state_D in states_KD:
            torch.testing.assert_close(state_D, session.last_BD[0], rtol=1e-4, atol=1e-5)
            token = (session.last_BD @ head_VD.T).argmax(dim=1)
            session.step(backbone.embed_tokens(token))


def test_parts_begin_the_same_each_time(backbone) -> None:
    torch.manual_seed(1)
    one = Thoughts(backbone, VIDEOS, 10)
    torch.manual_seed(2)
    two = Thoughts(backbone, VIDEOS, 10)
    for (name, value), (_, other) in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(value, other), name


# mistakes


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sides": Thinking()}, "thinking of no side"),
        ({"head": "first"}, "pooling 'first': choose mean or last"),
        ({"loss": ThinkingLossConfig(target_steps=3.0)}, "target_steps 3 of at most 4 steps"),
    ],
)
def test_senseless_thinking_is_refused(fields, words) -> None:
    with pytest.raises(UsageError, match=words):
        replace(VIDEOS, **fields)


@pytest.mark.parametrize(
    "fields",
    [{"shares": {"questions": 1.0}}, {"weights": {"caption": 1.0}}],
)
def test_thinking_without_a_contrast_is_refused(fields) -> None:
    with pytest.raises(UsageError, match="thinking is taught by contrast alone"):
        LessonConfig(thinking=VIDEOS, **fields)
