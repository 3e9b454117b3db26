"""The loop: exact means over passes, schedule, validation, stops, failures named by items."""

import math
import os
import signal
import threading
from dataclasses import replace

import pytest
import torch

from kinoscope.errors import UsageError
from kinoscope.training.checkpoint import Checkpoints, DiskRefused, usable_weights
from kinoscope.training.ema import Average
from kinoscope.training.journal import Journal, read_journal
from kinoscope.training.loop import train
from kinoscope.training.losses import NotFinite
from kinoscope.training.sampler import Part
from kinoscope.training.task import Batch, LoopConfig, Terms
from kinoscope.training.timing import STAGES
from tests.training.learning import Tiny, equal, model, weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SHORT = LoopConfig(steps=8, batch=6, lr=0.02)


def test_a_run_lowers_the_loss_and_records_every_step(tmp_path):
    heard = []
    config = LoopConfig(steps=60, batch=10, lr=0.02, validate_every=20)
    report = train(Tiny(), config, tmp_path, progress=heard.append)
    assert report.ended == "finished"
    assert report.last == tmp_path / "step-00000060"
    records = read_journal(tmp_path)
    assert records == heard
    assert [record["step"] for record in records] == list(range(1, 61))
    scores = [record["validate/score"] for record in records if "validate/score" in record]
    assert len(scores) == 3
    assert scores[-1] > scores[0] + 0.5
    timed = {f"{stage}_s" for stage in STAGES}
    for record in records:
        assert {"loss", "lr", "grad_norm", "samples_per_s", "memory_mb", *timed} <= set(record)
        term = record.get("loss/contrast", 0.5 * record.get("loss/regress", 0))
        assert record["loss"] == pytest.approx(term, rel=1e-6)


@pytest.mark.parametrize("weight", [0, 1])
def test_passes_that_are_added_up_are_one_large_pass(tmp_path, weight):
    """Means over rows that differ between passes: 5, 5 and 6 items, of 1 to 3 values each.

    A mean of the passes' means would be another number. A contrast is left out: its negatives are
    those of its own pass.
    """

    class Values(Tiny):
        def parts(self):
            return {"values": Part(length=self.length)}

    found = []
    for batch, accumulation in ((16, 1), (6, 3)):
        task = Values(length=16, dtype=torch.float64)
        config = LoopConfig(
            steps=1, batch=batch, accumulation=accumulation, weight_decay=weight, clip_norm=None
        )
        train(task, config, tmp_path / str(batch))
        found.append((read_journal(tmp_path / str(batch))[0], weights(task)))
    (one, ones), (three, threes) = found
    assert one["loss/regress"] == pytest.approx(three["loss/regress"], rel=1e-12)
    assert one["grad_norm"] == pytest.approx(three["grad_norm"], rel=1e-12)
    for name, value in ones.items():
        torch.testing.assert_close(threes[name], value, rtol=1e-9, atol=1e-12)


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine():
    config = LoopConfig(steps=100, batch=1, lr=2.0, warmup=0.1)
    rates = [config.learning_rate(step) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert rates[9:] == sorted(set(rates[9:]), reverse=True)
    assert rates[54] == pytest.approx(2.0 * (1 + math.cos(math.pi * 45 / 91)) / 2)
    assert 0 < rates[-1] < 0.002
    assert LoopConfig(steps=5, batch=1, lr=1.0, warmup=0).learning_rate(1) < 1
    assert LoopConfig(steps=5, batch=1, lr=1.0, warmup=1).learning_rate(5) == 1


def test_only_matrices_decay(tmp_path):
    class Still(Tiny):
        def losses(self, batch, step):
            return Terms({"zero": 0 * sum(p.sum() for p in self.net.parameters())}, {"zero": 1.0})

        def batch(self, draw):
            return Batch(None, {"zero": 1})

    task = Still()
    before = weights(task)
    train(task, LoopConfig(steps=3, batch=4, lr=0.1, weight_decay=0.5), tmp_path)
    for name, value in weights(task).items():
        shrunk = not torch.equal(value, before[name])
        assert shrunk == (name in ("0.weight", "4.weight")), name


def test_a_gradient_longer_than_the_limit_is_shortened(tmp_path):
    norms = {}
    for limit in (None, 1e-3):
        task = Tiny(parts_weights=(1.0, 0.0))
        train(task, replace(SHORT, steps=1, warmup=0, clip_norm=limit), tmp_path / str(limit))
        norms[limit] = read_journal(tmp_path / str(limit))[0]["grad_norm"]
        length = math.hypot(*(float(p.grad.norm()) for p in task.net.parameters()))
        assert length == pytest.approx(limit or norms[None], rel=1e-2)
    assert norms[None] == norms[1e-3] > 1e-2  # of the gradient as it was


def test_mixed_precision_computes_in_sixteen_bits_and_learns_in_thirty_two(tmp_path):
    task, kinds = Tiny(), set()
    task.net[0].register_forward_hook(lambda _m, _i, found: kinds.add(found.dtype))
    train(task, replace(SHORT, mixed_precision="bf16"), tmp_path)
    assert kinds == {torch.bfloat16}
    assert {value.dtype for _, value in task.parameters()} == {torch.float32}


def test_the_average_follows_its_formula_and_is_what_is_validated_and_kept(tmp_path):
    task, path = Tiny(), []
    seen_in_validation = []
    plain = task.validate
    task.validate = lambda: (seen_in_validation.append(weights(task)), plain())[1]
    start = weights(task)
    config = replace(SHORT, ema=0.3, validate_every=8)
    report = train(task, config, tmp_path, progress=lambda _r: path.append(weights(task)))
    expected = {name: value.double() for name, value in start.items()}
    for step, now in enumerate(path, 1):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = {n: decay * v + (1 - decay) * now[n].double() for n, v in expected.items()}
    kept = usable_weights(report.last)
    for name, value in expected.items():
        torch.testing.assert_close(kept[name].double(), value, rtol=1e-5, atol=1e-6)
    assert equal(seen_in_validation[0], kept)
    assert equal(weights(task), path[-1])
    assert not equal(kept, path[-1])


def test_the_average_leaves_the_weights_as_they_were_also_after_an_error():
    task = Tiny()
    average = Average(dict(task.parameters()), 0.5)
    with torch.no_grad():
        task.net[0].weight.add_(1)
    before, means = weights(task), {n: v.clone() for n, v in average.values.items()}
    with pytest.raises(KeyError), average.in_place():
        assert not equal(weights(task), before)
        raise KeyError
    assert equal(weights(task), before)
    assert equal(average.values, means)


def test_validation_without_progress_stops_early_and_keeps_the_best(tmp_path):
    task = Tiny(scores=[1.0, 3.0, 2.0, 3.0, 9.0])
    config = LoopConfig(steps=50, batch=6, validate_every=2, patience=2)
    at_best = {}

    def note(record):
        if record["step"] == 4:
            at_best.update(weights(task))

    report = train(task, config, tmp_path, progress=note)
    assert (report.ended, report.progress.step) == ("early", 8)  # a tie is no progress
    assert (report.progress.best, report.progress.best_step) == (3.0, 4)
    assert report.best == tmp_path / "step-00000004"
    assert equal(usable_weights(report.best), at_best)
    again = train(Tiny(), config, tmp_path)
    assert again == report
    longer = train(Tiny(scores=[9.0]), replace(config, patience=3), tmp_path)
    assert longer.progress.step > 8  # patience may change between


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(tmp_path, number):
    def ask(record):
        if record["step"] == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    report = train(Tiny(), SHORT, tmp_path, progress=ask)
    assert (report.ended, report.progress.step) == ("stopped", 3)
    assert report.last.is_dir()
    assert signal.getsignal(number) is before
    undisturbed, resumed = Tiny(), Tiny()
    train(undisturbed, SHORT, tmp_path / "other")
    assert train(resumed, SHORT, tmp_path).ended == "finished"
    assert equal(weights(undisturbed), weights(resumed))


def test_a_second_ctrl_c_interrupts_at_once(tmp_path):
    def insist(record):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), SHORT, tmp_path, progress=insist)


def test_a_run_outside_the_main_thread_hears_no_signals_but_trains(tmp_path):
    reports = []
    thread = threading.Thread(target=lambda: reports.append(train(Tiny(), SHORT, tmp_path)))
    thread.start()
    thread.join()
    assert reports[0].ended == "finished"


@pytest.mark.parametrize("part", ["pairs", "values"])
def test_nan_stops_the_run_names_step_and_items_and_keeps_the_checkpoint(tmp_path, part):
    """In a check of rows (pairs), and in the loss itself (values)."""
    clean = Tiny(parts_weights=(1.0, 1.0))
    train(clean, SHORT, tmp_path / "clean")
    step, _, items = next(seen for seen in clean.seen if seen[0] > 2 and seen[1] == part)
    task = Tiny(parts_weights=(1.0, 1.0))
    plain = task.batch
    task.batch = lambda draw: (  # only in that step, whatever else reads the item
        task.spoil.update({items[0]: "nan" if (draw.part, draw.items) == (part, items) else ""}),
        plain(draw),
    )[1]
    with pytest.raises(NotFinite) as stopped:
        train(task, replace(SHORT, checkpoint_every_s=0), tmp_path / "run")
    said = str(stopped.value)
    assert said.startswith(f"step {step}: ")
    assert "not finite" in said or "loss is nan" in said
    assert said.endswith(f"it read items {', '.join(map(str, items))} of {part}")
    assert len(read_journal(tmp_path / "run")) == step - 1
    names = sorted(path.name for path in (tmp_path / "run").glob("step-*"))
    assert names[-1] == f"step-{step - 1:08d}"
    kept = usable_weights(tmp_path / "run" / names[-1])
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_an_infinite_gradient_of_a_finite_loss_stops_the_run(tmp_path):
    class Root(Tiny):
        def losses(self, batch, step):
            first = self.net[0].weight
            loss = ((first - first.detach()).sum() ** 2 + (step < 2)) ** 0.5
            return Terms({"root": loss}, {"root": 1.0})

        def batch(self, draw):
            return Batch(None, {"root": 1})

    task = Root()
    with pytest.raises(NotFinite, match=r"step 2: the gradient's norm is nan; it read items"):
        train(task, SHORT, tmp_path)
    assert all(torch.isfinite(value).all() for value in weights(task).values())


def test_a_score_that_is_not_finite_is_no_best(tmp_path):
    with pytest.raises(NotFinite, match="step 4: validation's score is nan"):
        train(Tiny(scores=[math.nan]), replace(SHORT, validate_every=4), tmp_path)


def test_a_checkpoint_that_fails_warns_and_the_run_goes_on(tmp_path, monkeypatch):
    save, fails = Checkpoints.save, [True, True]

    def sometimes(self, saved):
        if fails and fails.pop():
            raise OSError(28, "No space left on device")
        return save(self, saved)

    monkeypatch.setattr(Checkpoints, "save", sometimes)
    with pytest.warns(
        UserWarning, match=r"\(No space left on device\): free space there, then go on; there"
    ):
        report = train(Tiny(), replace(SHORT, checkpoint_every_s=0), tmp_path)
    assert report.ended == "finished"
    assert report.last.is_dir()


def test_a_last_checkpoint_that_fails_is_an_error(tmp_path, monkeypatch):
    def never(self, saved):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "save", never)
    with pytest.raises(DiskRefused, match="No space left on device"):
        train(Tiny(), SHORT, tmp_path)


def test_a_journal_that_cannot_be_written_stops_the_run_between_steps(tmp_path, monkeypatch):
    append = Journal.append

    def refuse(self, record):
        if record["step"] == 5:
            raise OSError(28, "No space left on device")
        append(self, record)

    with monkeypatch.context() as full:
        full.setattr(Journal, "append", refuse)
        with pytest.raises(DiskRefused, match="the checkpoint of step 4 is whole"):
            train(Tiny(), replace(SHORT, checkpoint_every_s=0), tmp_path)
    undisturbed, resumed = Tiny(), Tiny()
    train(undisturbed, SHORT, tmp_path / "other")
    train(resumed, SHORT, tmp_path)
    assert equal(weights(undisturbed), weights(resumed))


def test_a_folder_that_cannot_be_written_is_said_before_the_first_step(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DiskRefused, match=r"cannot write in .*run \(File exists\)"):
        train(Tiny(), SHORT, tmp_path / "run")


def test_a_checkpoint_of_another_config_is_refused(tmp_path):
    train(Tiny(), SHORT, tmp_path)
    with pytest.raises(
        UsageError, match=r"(?s)another config .*! loop: .*'lr': 0\.02.*'lr': 0\.03"
    ):
        train(Tiny(), replace(SHORT, lr=0.03), tmp_path)
    with pytest.raises(UsageError, match="! task"):
        train(Tiny(dropout=0.5), SHORT, tmp_path)


def test_a_checkpoint_of_other_weights_is_refused(tmp_path):
    train(Tiny(), SHORT, tmp_path)
    task = Tiny()
    task.net = torch.nn.Sequential(*model(0, 0.0), torch.nn.Linear(6, 6))
    with pytest.raises(UsageError, match=r"does not fit at 5\.bias: train in another folder"):
        train(task, SHORT, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "steps 0 is out of range"),
        ({"batch": 0}, "batch 0"),
        ({"lr": math.nan}, "lr nan"),
        ({"betas": (0.9, 1.0)}, r"betas \(0.9, 1.0\)"),
        ({"warmup": 2}, "warmup 2"),
        ({"clip_norm": 0}, "clip_norm 0"),
        ({"mixed_precision": "int8"}, "mixed_precision 'int8'"),
        ({"ema": 1}, "ema 1"),
        ({"seed": -1}, "seed -1"),
        ({"keep": 0}, "keep 0"),
        ({"patience": 2}, "patience 2 needs validate_every"),
    ],
)
def test_a_wrong_setting_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        replace(SHORT, **change)


def test_weights_that_cannot_be_trained_are_refused(tmp_path):
    task = Tiny()
    task.parameters = lambda: []
    with pytest.raises(UsageError, match="nothing learns: unfreeze"):
        train(task, SHORT, tmp_path)
    task = Tiny(dtype=torch.bfloat16)
    with pytest.raises(UsageError, match=r"0\.weight is torch\.bfloat16, in which small steps"):
        train(task, SHORT, tmp_path)
    task = Tiny()
    task.net[0].bias.requires_grad_(False)
    with pytest.raises(UsageError, match=r"0\.bias is frozen: leave it out"):
        train(task, SHORT, tmp_path)
    task = Tiny()
    task.parameters = lambda: [(name, task.net[0].weight) for name in "ab"]
    with pytest.raises(UsageError, match="a weight is named twice"):
        train(task, SHORT, tmp_path)
    task = Tiny()
    task.parameters = lambda: model(0, 0.0).named_parameters()
    with pytest.raises(UsageError, match="no gradient reaches the weights"):
        train(task, SHORT, tmp_path)
    with pytest.raises(UsageError, match="'fp16' needs a GPU: choose 'bf16'"):
        train(Tiny(), replace(SHORT, mixed_precision="fp16"), tmp_path)
    with pytest.raises(UsageError, match=r"watch 'recall' is no metric: choose of \['score'\]"):
        train(Tiny(), replace(SHORT, validate_every=1, watch="recall"), tmp_path)


def test_a_term_without_weight_is_refused():
    with pytest.raises(UsageError, match="the loss 'qa' has no weight: give one in the recipe"):
        Terms({"qa": torch.tensor(1.0)}, {"other": 1.0})
