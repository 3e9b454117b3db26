"""How fast the program is there: `kinoscope --help`, `import kinoscope`, a loaded model."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from kinoscope.errors import SetupError
from kinoscope.evaluation.results import Metric, save_result

RUNS = 10
HEAVY = ("torch", "transformers", "lancedb", "onnxruntime", "av", "numpy")

HELP = "import sys; sys.argv = ['kinoscope', '--help']; from kinoscope.cli import main; main()"
IMPORT = "import kinoscope"
TIMED_IMPORT = (
    "import time; start = time.perf_counter(); import kinoscope; print(time.perf_counter() - start)"
)
# both towers: a text is encoded, and a picture is looked at
LOAD = """
import numpy as np
from kinoscope import Embedder, Frames
embedder = Embedder.load()
embedder.encode_query("a dog")
embedder.vision(Frames(np.zeros((1, 260, 260, 3), np.uint8), np.zeros(1)))
"""


def main() -> None:
    """Takes the median of warm runs and saves `results/startup.json`."""
    for program in (HELP, IMPORT):
        loaded = heavy_modules(program)
        if loaded:
            raise SetupError(f"{program!r} loads {', '.join(loaded)}: import them where needed")
    help_s = median_of(lambda: wall_s([sys.executable, "-m", "kinoscope", "--help"]))
    import_s = median_of(lambda: float(run([sys.executable, "-c", TIMED_IMPORT])))
    load_s = median_of(lambda: wall_s([sys.executable, "-c", LOAD]))
    metrics = {"help_s": help_s, "import_s": import_s, "load_s": load_s}
    save_result("startup", metrics, details={"not_loaded": list(HEAVY)})
    for name, metric in metrics.items():
        print(f"{name} {metric.value:.4f}")


def heavy_modules(program: str) -> list[str]:
    """Those of the heavy libraries that a program has loaded when it ends."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    done = subprocess.run(
        [sys.executable, "-c", report + program], capture_output=True, text=True, check=True
    )
    return sorted(set(HEAVY) & set(done.stderr.split()))


def median_of(measure: Callable[[], float]) -> Metric:
    """Median seconds of `RUNS` runs after one that warms the disk cache."""
    measure()
    return Metric(value=statistics.median(measure() for _ in range(RUNS)), n=RUNS)


def wall_s(command: list[str]) -> float:
    """Seconds from start to end of a command."""
    start_s = time.perf_counter()
    run(command)
    return time.perf_counter() - start_s


def run(command: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
