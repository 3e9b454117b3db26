"""PyTorch against ONNX Runtime for the built-in model's vision tower: speed ratios and parity."""

import time
from collections.abc import Callable

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from kinoscope.backbones.concepts import Concepts
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.packages import downloaded, read_member
from kinoscope.types import Float32, Frames, UInt8
from kinoscope.weights import CLASSIFIER, CLASSIFIER_MEMBER, SIDE_PX, model_files

PICTURES = 64
ROUNDS = 5
BATCH = 16


def main() -> None:
    """Times the runtimes turn by turn and saves `results/concepts_runtime.json`."""
    rgb_FHWC = np.random.default_rng(0).integers(
        0, 256, (PICTURES, SIDE_PX, SIDE_PX, 3), dtype=np.uint8
    )
    runs = runtimes()
    outputs = {name: run(rgb_FHWC) for name, run in runs.items()}  # also warms up
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start_s = time.perf_counter()
            run(rgb_FHWC)
            spent[name].append(time.perf_counter() - start_s)
    base_s = min(spent["onnxruntime"])
    metrics = {
        f"{name}_over_onnxruntime": Metric(value=min(times) / base_s, n=ROUNDS)
        for name, times in spent.items()
        if name != "onnxruntime"
    }
    apart = np.abs(outputs["eager"] - outputs["onnxruntime"]).max()
    metrics["greatest_difference"] = Metric(value=float(apart), n=PICTURES)
    metrics["onnxruntime_pictures_per_s"] = Metric(value=PICTURES / base_s, n=ROUNDS)
    save_result("concepts_runtime", metrics)


def runtimes() -> dict[str, Callable[[UInt8], Float32]]:
    """By name: RGB pictures [F, H, W, 3] -> class probabilities [F, 1000]."""
    with downloaded(CLASSIFIER) as archive:
        from io import BytesIO

        state = torch.load(BytesIO(read_member(archive, CLASSIFIER_MEMBER)), weights_only=True)
    plain = EfficientNet.from_name("efficientnet-lite2").eval()
    plain.load_state_dict(state)
    last = EfficientNet.from_name("efficientnet-lite2").eval()
    last.load_state_dict(state)
    last = last.to(memory_format=torch.channels_last)
    concepts = Concepts(model_files())

    def onnx(rgb_FHWC: UInt8) -> Float32:
        return concepts.probabilities(Frames(rgb_FHWC, np.arange(len(rgb_FHWC), dtype=np.float64)))

    return {
        "onnxruntime": onnx,
        "eager": lambda rgb_FHWC: classify(plain, rgb_FHWC, torch.contiguous_format),
        "channels_last": lambda rgb_FHWC: classify(last, rgb_FHWC, torch.channels_last),
    }


def classify(network: torch.nn.Module, rgb_FHWC: UInt8, layout: torch.memory_format) -> Float32:
    """Probabilities [F, 1000] by PyTorch, in batches."""
    parts = []
    with torch.inference_mode():
        for batch in torch.from_numpy(rgb_FHWC).split(BATCH):
            scaled = (batch.permute(0, 3, 1, 2).float() - 127.0) / 128.0
            parts.append(network(scaled.contiguous(memory_format=layout)).softmax(dim=1))
    return np.asarray(torch.cat(parts).numpy(), np.float32)


if __name__ == "__main__":
    main()
