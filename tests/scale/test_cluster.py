"""How a cluster is shared out, and what is refused before any is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope import libraries
from kinoscope.errors import SetupError, UsageError
from kinoscope.scale.cluster import ClusterOptions, connected, shares

COUNTS = st.none() | st.integers(1, 200)


@given(st.integers(1, 500), st.integers(0, 600), COUNTS, COUNTS)
def test_nobody_waits_for_a_processor_that_is_not_there(cpus, gpus, models, decoders) -> None:
    found = shares(cpus, gpus, ClusterOptions(models=models, decoders=decoders))
    assert found.models >= 1 and found.decoders_each >= 1
    assert found.models * (found.model_cpus + found.decoders_each) <= cpus
    assert found.models * found.model_gpus <= gpus + 1e-9
    assert found.models <= (models or max(1, gpus, cpus))
    assert found.decoders_each == 1 or found.models * found.decoders_each <= (decoders or cpus)


@pytest.mark.parametrize(
    ("cpus", "gpus", "wish", "shared"),
    [
        (1, 0, {}, (1, 1, 0, 0)),
        (2, 0, {}, (1, 1, 1, 0)),
        (8, 0, {}, (2, 3, 1, 0)),
        (64, 4, {}, (4, 15, 1, 1.0)),
        (8, 4, {"models": 2}, (2, 3, 1, 1)),
        (8, 1, {"models": 2}, (2, 3, 1, 0.5)),
        (8, 0, {"models": 1, "decoders": 2}, (1, 2, 1, 0)),
    ],
)
def test_a_model_a_gpu_or_one_for_every_three_processors(cpus, gpus, wish, shared) -> None:
    found = shares(cpus, gpus, ClusterOptions(**wish))
    assert (found.models, found.decoders_each, found.model_cpus, found.model_gpus) == shared


@pytest.mark.parametrize("wrong", [{"cpus": 0}, {"models": -1}, {"decoders": 0}])
def test_numbers_below_one_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=r"need at least 1"):
        ClusterOptions(**wrong)


def test_a_running_cluster_has_its_own_processors() -> None:
    with pytest.raises(UsageError, match=r"cpus 4: a running cluster has its own number"):
        ClusterOptions(address="auto", cpus=4)


def test_without_ray_the_install_command_is_told(monkeypatch) -> None:
    monkeypatch.setattr(libraries.importlib, "import_module", _absent)
    with (
        pytest.raises(SetupError, match=r"pip install 'kinoscope\[cluster\]'"),
        connected(ClusterOptions()),
    ):
        pass


def _absent(name: str) -> None:
    raise ImportError(f"No module named {name!r}")


def test_an_address_is_of_a_cluster(run, tmp_path) -> None:
    code, _, said = run("index", tmp_path, "--index", tmp_path / "index", "--address", "auto")
    assert (code, said) == (2, "kinoscope: --address auto is of --cluster: say both\n")
