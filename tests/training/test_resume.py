"""A run that is killed again and again ends with the weights and the curve of one that is not."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from safetensors.torch import load_file

from kinoscope.training.journal import read_journal

ROOT = Path(__file__).parents[2]
STEPS = 60

# One process starts the others as copies of itself, so that torch is imported once. It kills a
# copy some time after its n-th step: between steps, in one, or in a checkpoint.
PROGRAM = """
    import json, os, random, signal, sys, time
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    import accelerate
    from kinoscope.training.loop import train
    from kinoscope.training.task import LoopConfig
    from tests.training.learning import Tiny

    warm = torch.nn.Parameter(torch.ones(2))  # imports what copies would each import, no threads
    warm.grad = torch.ones(2)
    torch.optim.AdamW([warm]).step()
    accelerate.PartialState(cpu=True)

    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(seed)
    config = LoopConfig(
        steps={steps}, batch=6, accumulation=2, lr=0.02, ema=0.95, seed=seed, validate_every=7,
        checkpoint_every_s=0.02,
    )

    def start(place):
        '''A copy that trains; its number, and a pipe with a byte a step.'''
        reading, writing = os.pipe()
        number = os.fork()
        if number == 0:
            os.close(reading)
            task = Tiny(dropout=0.3, noise=True)
            train(task, config, place, progress=lambda record: os.write(writing, b"."))
            os._exit(0)
        os.close(writing)
        return number, reading

    def waited(number):
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

    number, _ = start(folder / "undisturbed")
    assert waited(number) == 0
    codes, began = [], []
    while not codes or codes[-1] != 0:
        number, reading = start(folder / "killed")
        steps = chance.randrange(1, 16)
        while steps and os.read(reading, 1):
            steps -= 1
        time.sleep(chance.random() * 0.01)
        if len(codes) < 8:
            os.kill(number, signal.SIGKILL)
        codes.append(waited(number))
        os.close(reading)
    print(json.dumps(codes))
"""


@pytest.fixture(scope="module", params=[1, 2])
def runs(request, tmp_path_factory) -> tuple[Path, list[int]]:
    folder = tmp_path_factory.mktemp("runs")
    program = textwrap.dedent(PROGRAM).replace("{steps}", str(STEPS))
    run = [sys.executable, "-c", program, str(folder), str(request.param)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_run_was_killed_at_many_moments_and_then_ended(runs):
    folder, codes = runs
    assert codes.count(-9) >= 3
    assert codes[-1] == 0
    assert not list(folder.rglob("*.partial"))


def test_the_weights_are_those_of_the_undisturbed_run_bit_for_bit(runs):
    folder, _ = runs
    for name in ("weights", "average", "state"):
        one, other = (
            load_file(folder / run / f"step-{STEPS:08d}" / f"{name}.safetensors")
            for run in ("undisturbed", "killed")
        )
        assert one.keys() == other.keys()
        assert all(bytes(one[key].numpy()) == bytes(other[key].numpy()) for key in one), name


def test_the_curve_is_that_of_the_undisturbed_run_to_the_last_bit(runs):
    folder, _ = runs
    one, other = (read_journal(folder / run) for run in ("undisturbed", "killed"))
    assert [record["step"] for record in other] == list(range(1, STEPS + 1))
    exact = ("loss", "loss/contrast", "loss/regress", "lr", "grad_norm", "validate/score")
    assert len({record["loss"] for record in one}) == STEPS  # no constant is compared
    for mine, theirs in zip(one, other, strict=True):
        assert {n: mine.get(n) for n in exact} == {n: theirs.get(n) for n in exact}
    table = (folder / "killed" / "journal.csv").read_text().splitlines()
    assert len(table) == STEPS + 1


def test_the_best_checkpoint_is_the_same(runs):
    folder, _ = runs
    best = [
        json.loads((folder / run / f"step-{STEPS:08d}" / "manifest.json").read_text())["best_step"]
        for run in ("undisturbed", "killed")
    ]
    assert best[0] == best[1]
    assert (folder / "killed" / f"step-{best[1]:08d}").is_dir()
