"""One parser under atheris, whose mutants are led by the coverage of this project's code.

`python -m recipes.fuzz_guided NAME FOLDER RUNS SECONDS`: FOLDER keeps the corpus, which a later run
goes on from, and `found.json` with how many mutants were tried and the crashes among them.
"""

import json
import random
import sys
import warnings
from pathlib import Path
from typing import Any

from kinoscope.libraries import imported

HANG_S = 10
MOST_BYTES = 65_536
_SAVED_EVERY = 250


def main() -> None:
    """Ends with the process, as libFuzzer does."""
    atheris = imported("atheris")
    name, place, runs, seconds = sys.argv[1:]
    with atheris.instrument_imports(include=["kinoscope"]):
        from recipes import fuzz_mutations, fuzz_parsers, fuzz_targets
    warnings.simplefilter("ignore")
    folder, chance = Path(place), random.Random(name)
    parser, found = fuzz_targets.parsers()[name], folder / "found.json"
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(parser.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    said: dict[str, Any] = {"mutants": 0, "crashes": {}}
    if found.exists():
        said = json.loads(found.read_text())

    with fuzz_parsers.workplace() as work:

        def once(content: bytes) -> None:
            crash = fuzz_parsers.tried(parser, content, work)
            said["mutants"] += 1
            if crash is not None:
                said["crashes"].setdefault(crash.what.partition(":")[0], crash.what)
                (folder / f"crash-{len(said['crashes'])}").write_bytes(content)
            if crash is not None or said["mutants"] % _SAVED_EVERY == 0:
                found.write_text(json.dumps(said))

        def mutated(content: bytes, most: int, _seed: int) -> bytes:
            if chance.random() < 0.5:
                return bytes(atheris.Mutate(content, most))
            return fuzz_mutations.mutant([content or b"0", *parser.seeds], chance)[:most]

        limits = [f"-runs={runs}", f"-max_total_time={seconds}", f"-timeout={HANG_S}"]
        limits += [f"-max_len={MOST_BYTES}", f"-artifact_prefix={folder}/", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], *limits, str(corpus)], once, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
