"""OpenVINO against ONNX Runtime for the built-in model: speed ratios, and what the vectors keep."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.backbones.concepts import TOP
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.libraries import imported
from kinoscope.runtime import open_session, usable_cores
from kinoscope.samples import fetch
from kinoscope.types import Float32
from kinoscope.video import VideoReader
from kinoscope.weights import SIDE_PX, ConceptsFiles, model_files
from recipes.concepts_samples import CLIPS_FOLDER

PICTURES = 64
BATCH = 8
ROUNDS = 15
FORMS = {"openvino_float32": {"INFERENCE_PRECISION_HINT": "f32"}, "openvino_default": {}}
"""By default OpenVINO computes in bfloat16 where the processor can."""

Tower = Callable[[Any], Float32]


def main() -> None:
    """Times the runtimes turn by turn on real pictures; saves `results/concepts_openvino.json`."""
    files = model_files()
    rgb_FHWC = pictures()
    metrics = {}
    for part, graph, feed in (
        ("vision", files.vision, {"rgb_FHWC": rgb_FHWC}),
        ("text", files.text, text_feed(files)),
    ):
        runs = towers(graph)
        outputs = {name: run(feed) for name, run in runs.items()}  # also warms up
        spent = timed(runs, feed)
        pool = frame_vectors(files) if part == "vision" else mean_vectors
        wanted_ND = pool(outputs["onnxruntime"])
        for name in FORMS:
            ratio = min(spent["onnxruntime"]) / min(spent[name])
            cosines_N = (pool(outputs[name]) * wanted_ND).sum(axis=1)
            metrics[f"{part}_{name}_speedup"] = Metric(value=ratio, n=ROUNDS)
            metrics[f"{part}_{name}_least_cosine"] = Metric(
                value=float(cosines_N.min()), n=len(cosines_N)
            )
    save_result("concepts_openvino", metrics)
    for name, metric in metrics.items():
        print(f"{name:>40} {metric.value:.5f}")


def pictures() -> Any:
    """Frames of the sample clips [F, H, W, 3], one a clip."""
    found = fetch(CLIPS_FOLDER, report=print)
    frames = []
    for clip in found.clips[:PICTURES]:
        with VideoReader(found.folder / clip.file, side_px=SIDE_PX) as reader:
            frames.append(next(reader.sample([0.5])).rgb_FHWC[0])
    return np.stack(frames)


def text_feed(files: ConceptsFiles) -> dict[str, Any]:
    """Sentences of one length, so that no padding differs."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_padding()
    nouns = ("dog", "car", "tree", "river", "house", "bird", "train", "child")
    texts = [f"a {noun} near a {other} in the rain" for noun in nouns for other in nouns]
    ids_BT = np.array([tokenizer.encode(text).ids for text in texts])
    return {"ids_BT": ids_BT, "mask_BT": np.ones_like(ids_BT)}


def towers(graph: Path) -> dict[str, Tower]:
    """By name: a feed -> the graph's only output, in batches of eight."""
    openvino = imported("openvino", "pip install 'kinoscope[runtimes]'")
    session = open_session(graph, threads=usable_cores())
    runs = {"onnxruntime": in_batches(lambda feed: session.run(None, feed)[0])}
    for name, options in FORMS.items():
        threads = {"INFERENCE_NUM_THREADS": usable_cores(), "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(str(graph), "CPU", {**threads, **options})
        runs[name] = in_batches(partial(first_output, compiled))
    return runs


def first_output(model: Any, feed: dict[str, Any]) -> Any:
    """What a compiled graph gives for one batch."""
    return model(feed)[0]


def in_batches(run: Callable[[dict[str, Any]], Any]) -> Tower:
    """The same over rows in batches, joined."""

    def all_rows(feed: dict[str, Any]) -> Float32:
        rows = len(next(iter(feed.values())))
        parts = [
            np.array(run({name: value[i : i + BATCH] for name, value in feed.items()}))
            for i in range(0, rows, BATCH)
        ]
        return np.concatenate(parts)

    return all_rows


def timed(runs: dict[str, Tower], feed: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of every round, the runtimes taking turns."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start_s = time.perf_counter()
            run(feed)
            spent[name].append(time.perf_counter() - start_s)
    return spent


def frame_vectors(files: ConceptsFiles) -> Tower:
    """Class probabilities [F, 1000] -> the model's unit frame vectors [F, 384]."""
    classes_CD = np.load(files.class_vectors, allow_pickle=False)

    def vectors(probabilities_FC: Any) -> Float32:
        least_F1 = np.sort(probabilities_FC, axis=1)[:, -TOP, None]
        kept_FC = np.where(probabilities_FC >= least_F1, probabilities_FC, 0)
        return unit(kept_FC @ classes_CD)

    return vectors


def mean_vectors(states_BTD: Any) -> Float32:
    """The head of the text tower."""
    return unit(states_BTD.mean(axis=1))


def unit(rows_ND: Any) -> Float32:
    """Rows of unit length."""
    return np.asarray(rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()
