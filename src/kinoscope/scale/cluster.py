"""A Ray cluster: one on this machine for as long as it is needed, or one that is there already."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kinoscope import libraries
from kinoscope.errors import SetupError, UsageError
from kinoscope.runtime import usable_cores

CLUSTER = "pip install 'kinoscope[cluster]'"

LOCAL_STORE_BYTES = 2**29
"""Memory in which Ray of one machine keeps frames on their way: under 10 MB a decoding process."""

# Ray tells its makers of its use unless told before the import; a busy machine is no dead node;
# what its C++ logs of restarts is no news for a user
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_register_timeout_seconds": "1200",
    "RAY_health_check_initial_delay_ms": "60000",
    "RAY_health_check_timeout_ms": "120000",
}

CPUS_A_MODEL = 3
"""Of so many processors one runs the model, the others decode: vision takes 0.36 of the time."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which cluster, and how much of it.

    Attributes:
        address: as `ray.init` takes it: `HOST:PORT` or `auto` for a cluster that runs; None begins
            one on this machine, which ends with the run.
        cpus: processors of that local one; by default all that this process may use.
        models: processes that hold the model; by default one a GPU, or one for every three
            processors.
        decoders: decoding processes in all; by default one for each processor that is left.
    """

    address: str | None = None
    cpus: int | None = None
    models: int | None = None
    decoders: int | None = None

    def __post_init__(self) -> None:
        for name in ("cpus", "models", "decoders"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: need at least 1")
        if self.address is not None and self.cpus is not None:
            raise UsageError(f"cpus {self.cpus}: a running cluster has its own number")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How a cluster is shared out: so many models, each with so many decoding processes.

    `model_cpus` and `model_gpus` are what one process with a model takes, `cpus` what there is.
    """

    models: int
    decoders_each: int
    model_cpus: int
    model_gpus: float
    cpus: int


def shares(cpus: int, gpus: int, options: ClusterOptions) -> Shares:
    """Divides processors: (8 CPUs, no GPU) -> 2 models with 3 decoding processes each.

    A model whose decoding process needs the only processor asks for none. All asks together fit:
    one that did not would wait for ever, with a film in hand.
    """
    models = min(options.models or gpus or max(1, cpus // CPUS_A_MODEL), cpus)
    model_cpus = 1 if cpus >= 2 * models else 0
    most = cpus // models - model_cpus
    return Shares(
        models=models,
        decoders_each=min(max(1, (options.decoders or cpus) // models), most),
        model_cpus=model_cpus,
        model_gpus=min(1.0, gpus / models),
        cpus=cpus,
    )


@contextmanager
def connected(options: ClusterOptions) -> Iterator[Any]:
    """The module `ray`, connected meanwhile; a connection that there is already is used and left.

    Raises `SetupError` without `kinoscope[cluster]`, or if no cluster answers.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray = libraries.imported("ray", CLUSTER)
    libraries.imported("ray.data", CLUSTER)
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, options)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, options: ClusterOptions) -> None:
    place: dict[str, Any] = {"address": options.address}
    if options.address is None:
        place = {
            "address": "local",
            "num_cpus": options.cpus or usable_cores(),
            "object_store_memory": LOCAL_STORE_BYTES,
            "include_dashboard": False,
        }
    try:
        with warnings.catch_warnings():
            # Ray forks to start its processes, which go on as other programs at once
            warnings.filterwarnings("ignore", message="lancedb fork support")
            ray.init(**place, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        where = f"at {options.address}" if options.address else "on this machine"
        raise SetupError(f"no Ray cluster {where} ({reason}): check that it runs") from error


def shared_out(ray: Any, options: ClusterOptions) -> Shares:
    """The shares of the cluster that this process is connected to."""
    found = ray.cluster_resources()
    return shares(int(found.get("CPU", 1)), int(found.get("GPU", 0)), options)
