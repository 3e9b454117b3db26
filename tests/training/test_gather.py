"""Rows of several processes: losses, gradients and whole runs are those of one process."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinoscope.training.gather import Rows, alone, copy_from_first, gather_objects, gathered
from kinoscope.training.gradient_cache import cached_rows
from kinoscope.training.journal import read_journal
from kinoscope.training.lesson_batches import Wordings
from kinoscope.training.lesson_losses import LessonLosses
from kinoscope.training.loop import train
from kinoscope.training.losses import triplets, two_way
from kinoscope.training.task import LoopConfig, Terms
from tests.training.learning import Tiny, in_processes, model

pytestmark = pytest.mark.usefixtures("one_torch_thread")
UNEVEN = (3, 5)  # rows of the two processes
RUN = LoopConfig(steps=6, batch=7, accumulation=2, lr=0.01, ema=0.9, validate_every=3)


def inputs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(3, sum(UNEVEN), 6, generator=generator, dtype=torch.float64)


def share(number: int | None) -> slice:
    """Of one of the two processes, or all."""
    return slice(None) if number is None else slice(0, 3) if number == 0 else slice(3, 8)


def contrast(number: int | None) -> dict[str, torch.Tensor]:
    """Gradients of the mean over all rows, from one process's rows or from all."""
    net = model(0, 0.0).double()
    mine = inputs()[:, share(number)]

    def encode(x_BD):
        return torch.nn.functional.normalize(net(x_BD), dim=-1)

    video = gathered(cached_rows(encode, mine[0].split(2)))
    text, hard = gathered(encode(mine[1])), gathered(encode(mine[2]))
    both = two_way(video, text, temperature=0.1, hard_text=hard.all_ND).rows_B
    one = triplets(video.own_BD, text, hard, temperature=0.1)
    loss = (both.sum() + one.sum()) / sum(UNEVEN)
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in net.named_parameters()}}


def said(number: int | None) -> dict[str, torch.Tensor]:
    """The same of the lesson of wordings: two rows, in different processes, share a text."""
    net, rows = model(0, 0.0).double(), inputs()
    texts = [[f"{side} {row}" for row in range(sum(UNEVEN))] for side in range(3)]
    texts[1][7] = texts[1][0]
    known = {text: rows[int(text[0]), int(text[2])] for side in texts for text in side}

    def embed(_backbone, contents):
        return torch.nn.functional.normalize(net(torch.stack([known[c.text] for c in contents])))

    tokenizer = SimpleNamespace(tokenizer=lambda *_asked, **_how: {"input_ids": [0]})
    checkpoint = SimpleNamespace(family=SimpleNamespace(processor=tokenizer))
    losses = LessonLosses(SimpleNamespace(checkpoint=checkpoint), lambda: 0.1)
    mine = (side[share(number)] for side in texts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kinoscope.training.lesson_losses.embed", embed)
        loss = losses.wordings(Wordings(texts=next(mine), others=next(mine), hard=next(mine)))
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in net.named_parameters()}}


def contrast_here(number, folder):
    assert gather_objects(number) == [0, 1]
    assert gathered(torch.ones(UNEVEN[number], 2)).first == (0, 3)[number]
    same = torch.full((2,), float(number))
    copy_from_first([same])
    assert same.tolist() == [0.0, 0.0]
    save_file(contrast(number), folder / f"{number}.safetensors")
    save_file(said(number), folder / f"said-{number}.safetensors")


def train_here(number, folder):
    task = Tiny(dtype=torch.float64)
    if number == 1:  # the first process decides where a run starts
        task.net = model(7, 0.0).double()
    train(task, RUN, folder / "together")


class Gated(Tiny):
    """A weight that only passes over item 0 reach: in each step one process at the most."""

    def __post_init__(self):
        super().__post_init__()
        self.gate = torch.nn.Parameter(torch.full((2, 2), 0.5, dtype=self.dtype))

    def parameters(self):
        return [*self.net.named_parameters(), ("gate", self.gate)]

    def losses(self, batch, step):
        found = super().losses(batch, step)
        if 0 not in batch.inputs[0].items:
            return found
        ((name, value),) = found.sums.items()
        return Terms({name: value + self.gate.square().sum()}, found.weights)


def gated_here(number, folder):
    train(Gated(dtype=torch.float64), replace(RUN, accumulation=1), folder / "gated")


def resume_here(number, folder):
    """Stops after two steps, as a kill would; then goes on."""

    class Killed(Exception):
        pass

    def kill(record):
        if record["step"] == 2:
            raise Killed

    config = replace(RUN, checkpoint_every_s=0)
    with pytest.raises(Killed):
        train(Tiny(dtype=torch.float64), config, folder / "resumed", progress=kill)
    train(Tiny(dtype=torch.float64), config, folder / "resumed")


def everything(number, folder):
    contrast_here(number, folder)
    train_here(number, folder)
    gated_here(number, folder)
    resume_here(number, folder)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp("processes")
    in_processes(everything, 2, folder, folder)
    return folder


def test_two_processes_have_the_loss_and_gradients_of_one_with_uneven_rows(two_processes):
    parts = [load_file(two_processes / f"{number}.safetensors") for number in (0, 1)]
    whole = contrast(None)
    for name, value in whole.items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], value, rtol=1e-12, atol=1e-14)
    assert parts[0]["loss"] != parts[1]["loss"]


def test_wordings_in_two_processes_have_the_loss_and_gradients_of_one(two_processes):
    """Neither takes for a negative what the other one also says."""
    parts = [load_file(two_processes / f"said-{number}.safetensors") for number in (0, 1)]
    for name, value in said(None).items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], value, rtol=1e-12, atol=1e-14)
    assert parts[0]["loss"] != parts[1]["loss"]


def test_without_gradient_through_the_gathering_it_would_be_wrong(monkeypatch, two_processes):
    """The equality above is no accident: rows of others are also moved by one's own loss."""
    net = model(0, 0.0).double()

    def encode(x_BD):
        return torch.nn.functional.normalize(net(x_BD), dim=-1)

    video, text, _ = (encode(x) for x in inputs())
    for number in (0, 1):
        own = share(number)
        first = (0, 3)[number]
        pools = [x.detach().clone() for x in (video, text)]
        for pool, rows in zip(pools, (video, text), strict=True):
            pool[own] = rows[own]
        sides = [Rows(x[own], p, first) for x, p in zip((video, text), pools, strict=True)]
        (two_way(*sides, temperature=0.1).rows_B.sum() / 8).backward(retain_graph=True)
    halved = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    (two_way(alone(video), alone(text), temperature=0.1).rows_B.sum() / 8).backward()
    assert not all(torch.allclose(a, p.grad) for a, p in zip(halved, net.parameters(), strict=True))


def test_a_run_of_two_processes_is_that_of_one(two_processes, tmp_path):
    alone_task = Tiny(dtype=torch.float64)
    train(alone_task, RUN, tmp_path / "alone")
    ours, theirs = (read_journal(p) for p in (tmp_path / "alone", two_processes / "together"))
    names = [n for r in ours for n in r if n.split("/")[0] in ("loss", "validate")]
    assert {"loss/contrast", "loss/regress", "validate/score"} <= set(names)
    for mine, other in zip(ours, theirs, strict=True):
        for name in {"loss", "grad_norm", *names} & mine.keys():
            assert other[name] == pytest.approx(mine[name], rel=1e-10, abs=1e-12)
    saved = load_file(two_processes / "together" / "step-00000006" / "weights.safetensors")
    for name, value in alone_task.parameters():
        torch.testing.assert_close(saved[name], value.detach(), rtol=1e-9, atol=1e-11)


def test_a_weight_that_one_process_alone_reaches_moves_as_with_one_process(two_processes, tmp_path):
    task = Gated(dtype=torch.float64)
    train(task, replace(RUN, accumulation=1), tmp_path)
    items = [0 in draw_items for _, _, draw_items in task.seen]
    assert True in items
    assert False in items
    saved = load_file(two_processes / "gated" / "step-00000006" / "weights.safetensors")
    assert not torch.equal(saved["gate"], torch.full((2, 2), 0.5, dtype=torch.float64))
    for name, value in task.parameters():
        torch.testing.assert_close(saved[name], value.detach(), rtol=1e-9, atol=1e-11)


def test_a_run_of_two_processes_goes_on_bit_for_bit(two_processes):
    for name in ("weights.safetensors", "average.safetensors"):
        one, other = (
            load_file(two_processes / run / "step-00000006" / name)
            for run in ("together", "resumed")
        )
        assert all(torch.equal(one[key], other[key]) for key in one)
    losses = [
        [record["loss"] for record in read_journal(two_processes / run)]
        for run in ("together", "resumed")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_rows_alone_are_all_rows():
    rows = gathered(torch.ones(3, 2))
    assert rows.first == 0
    assert rows.own_BD is rows.all_ND
    assert repr(rows) == "Rows([3, 2] of [3, 2] from 0)"
