"""Learning rates a weight: by name, resumed bit for bit, refused where they fit nothing."""

from dataclasses import replace

import pytest
import torch

from kinoscope.errors import UsageError
from kinoscope.training.loop import train
from kinoscope.training.task import LoopConfig
from tests.training.learning import Tiny, equal, weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")
RATES = {"0.": 4.0, "bias": 0.5}
CONFIG = LoopConfig(steps=8, batch=6, lr=0.02, weight_decay=0.0, rates=RATES)


def test_the_first_word_in_a_name_decides_its_rate() -> None:
    config = LoopConfig(steps=1, batch=1, rates={"connector": 3.0, "tor.bias": 9.0, "norm": 0.5})
    named = {"model.connector.bias": 3.0, "actor.bias": 9.0, "norm.weight": 0.5, "other": 1.0}
    assert {name: config.rate_of(name) for name in named} == named
    assert LoopConfig(steps=1, batch=1).rate_of("connector") == 1.0


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_each_weight_moves_by_its_own_rate(tmp_path, decay) -> None:
    """Adam's first step is the rate in the direction of the gradient, after decay by the rate."""
    task = Tiny(parts_weights=(1.0, 0.0), dtype=torch.float64)
    before = weights(task)
    config = replace(CONFIG, steps=1, warmup=1.0, clip_norm=None, weight_decay=decay)
    train(task, config, tmp_path)
    wanted = {"0.weight": 4.0, "0.bias": 4.0, "1.bias": 0.5, "4.bias": 0.5}
    for name, value in task.net.named_parameters():
        rate = 0.02 * wanted.get(name, 1.0)
        kept = 1 - rate * decay if value.ndim == 2 else 1.0
        moved = value.detach() - kept * before[name]
        far = value.grad.abs() > 1e-4  # beside which Adam's epsilon is nothing
        assert far.any()
        torch.testing.assert_close(
            moved[far], -rate * value.grad.sign()[far], rtol=1e-3, atol=1e-9, msg=name
        )


def test_a_resumed_run_keeps_its_rates_bit_for_bit(tmp_path) -> None:
    undisturbed, first, second = Tiny(dropout=0.2), Tiny(dropout=0.2), Tiny(dropout=0.2)
    train(undisturbed, CONFIG, tmp_path / "one")

    class Stopped(Exception):
        pass

    def stop(record):
        if record["step"] == 5:
            raise Stopped

    with pytest.raises(Stopped):
        train(first, replace(CONFIG, checkpoint_every_s=0), tmp_path / "two", progress=stop)
    train(second, CONFIG, tmp_path / "two")
    assert equal(weights(undisturbed), weights(second))
    plain = Tiny(dropout=0.2)
    train(plain, replace(CONFIG, rates={}), tmp_path / "plain")
    assert not equal(weights(undisturbed), weights(plain))


def test_a_checkpoint_of_other_rates_is_refused(tmp_path) -> None:
    train(Tiny(), CONFIG, tmp_path)
    with pytest.raises(
        UsageError, match=r"(?s)another config .*! loop: .*'0\.': 4\.0.*'0\.': 2\.0"
    ):
        train(Tiny(), replace(CONFIG, rates=RATES | {"0.": 2.0}), tmp_path)


def test_a_rate_that_fits_no_weight_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"rates 'conector' fits none .* such as 4\.bias"):
        train(Tiny(), replace(CONFIG, rates={"bias": 2.0, "conector": 3.0}), tmp_path)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_is_a_positive_number(rate) -> None:
    with pytest.raises(UsageError, match=r"rates \{'0\.': .* is out of range: see LoopC"):
        LoopConfig(steps=1, batch=1, rates={"0.": rate})
