"""Writes a multimodal embedder as a folder that plain sentence-transformers loads, with no code."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from kinoscope.backbones.checkpoint_files import SETTINGS, read_json, reason
from kinoscope.backbones.family import load_processor
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.sentence_folder import AsWritten
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.interop.same_inputs import (
    changes_frames,
    chat_template,
    media_of,
    processor_values,
    require_same_inputs,
)
from kinoscope.libraries import torch, transformers
from kinoscope.types import Content, Features, Frames

WRITTEN_FOR = "6.2.0"
"""The version of sentence-transformers whose files these are."""

_MODULES = (
    ("", "sentence_transformers.base.modules.transformer.Transformer"),
    ("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
    ("2_Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
)
_CHAT_TEMPLATE, _PROCESSOR = "chat_template.jinja", "processor_config.json"
_README = """\
---
library_name: sentence-transformers
---

A multimodal embedder, exported by Kinoscope. Texts, pictures and videos become vectors of one
space; the prompts are part of the chat template.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(folder)
model.encode_query("a dog runs on the beach")
frames = {"fps": 2.0, "total_num_frames": 8, "frames_indices": list(range(8)), "duration": 4.0}
model.encode_document([{"video": {"array": pixels, "video_metadata": frames}}])  # [8, 3, H, W]
```

Give frames that are chosen already, eight of a video say, with the times at which they are shown:
index / fps. Videos of one batch have equally many frames, or `batch_size` is 1: most processors
refuse others, and that of SmolVLM misreads them.
"""


def export(embedder: Embedder, folder: Path) -> None:
    """Writes a folder that `sentence_transformers.SentenceTransformer(folder)` loads.

    Its `encode_query` and `encode_document` give this embedder's vectors (cosine >= 0.9999) for
    strings, pictures, videos in the form of `video_input`, and `{"video": ..., "text": ...}`.
    Weights are safetensors in the precision in which they are loaded, adapters merged; the prompts
    are in the chat template. `Embedder.load` reads the folder too. It appears whole or not at all.

    Raises `UsageError` for a folder that is not empty, a disk that refuses, and an embedder that
    sentence-transformers cannot express: the concepts model, an earlier layer, quantised weights,
    a family that it gives other inputs.
    """
    backbone, folder = _exportable(embedder), Path(folder).absolute()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: name a folder that is not, or is empty")
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        draft.mkdir(parents=True)
        checkpoint = backbone.checkpoint
        # under the published names of weights: AutoModel does not know Qwen2-VL's new ones
        checkpoint.model.save_pretrained(draft)
        checkpoint.family.processor.save_pretrained(draft)
        _require_weights(draft, backbone.model)
        _add_files(embedder, backbone, draft)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise UsageError(
            f"cannot write {folder} ({reason(error)}): free space there, or name another folder"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # there is none after success


def video_input(frames: Frames) -> dict[str, Any]:
    """A video as sentence-transformers takes it: pixels [F, 3, H, W] with the times of its frames.

    Qwen3-VL's processor wants two frames or more. Videos of one batch have equally many, or
    `batch_size` is 1: InternVL's and LLaVA-OneVision's refuse others, SmolVLM's misreads them.

    >>> model.encode_document([{"video": video_input(frames), "text": "at night"}])
    """
    content = Content(clip=Features(frames.rgb_FHWC, frames.times_F))
    video: dict[str, Any] = media_of(content)["video"]
    return video


def _exportable(embedder: Embedder) -> MLLM:
    """The backbone of an embedder that sentence-transformers can express."""
    backbone = embedder.backbone
    if not isinstance(backbone, MLLM):
        raise UsageError(
            f"the {backbone.model} model cannot be exported: sentence-transformers loads models of"
            " Transformers"
        )
    if embedder.thinker is not None:
        raise UsageError(
            f"{backbone.model} thinks, which sentence-transformers does not: load it with the"
            " thinking none to export it"
        )
    if "layer" in backbone.head:
        raise UsageError(
            f"head {backbone.head!r} cannot be exported: sentence-transformers reads the last"
            " layer; load the checkpoint with layer -1"
        )
    family = backbone.checkpoint.family
    if isinstance(family, AsWritten):
        raise UsageError(f"{backbone.model} is a folder of sentence-transformers already: copy it")
    if not family.needs_video_processor or changes_frames(family):
        raise UsageError(
            f"{backbone.model} cannot be exported: sentence-transformers has no way to give a"
            f" {type(family).__name__} a video"
        )
    if getattr(backbone.checkpoint.model, "is_quantized", False):
        raise UsageError(
            f"{backbone.model} is quantised, so its own weights are gone: load it without"
            " quantisation to export it"
        )
    return backbone


def _require_weights(folder: Path, model: str) -> None:
    """Raises `UsageError` if `AutoModel`, which would make up what it misses, misses a weight."""
    _, found = transformers().AutoModel.from_pretrained(
        str(folder), device_map="meta", output_loading_info=True, local_files_only=True
    )
    if found["missing_keys"]:
        missed = sorted(found["missing_keys"])[0]
        raise UsageError(f"{model} cannot be exported: sentence-transformers would miss {missed}")


def _add_files(embedder: Embedder, backbone: MLLM, folder: Path) -> None:
    """Makes a saved checkpoint one of sentence-transformers."""
    family, template = backbone.checkpoint.family, backbone.checkpoint.template
    chat = chat_template(family, template)
    options = {"text": {"max_length": backbone.max_tokens}, "chat_template": chat.arguments}
    (folder / _CHAT_TEMPLATE).write_text(chat.text, encoding="utf-8", newline="")
    (folder / "README.md").write_text(_README)
    values = read_json(folder, _PROCESSOR)
    for name, changed in processor_values(family, embedder.sampling.clip_frames).items():
        values[name] |= changed
    settings = {
        "template": template.name,
        "sampling": embedder.sampling.describe(),
        "chat_template": chat.own,
    }
    files = {**_configuration(embedder, backbone, options), _PROCESSOR: values, SETTINGS: settings}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    require_same_inputs(load_processor(str(folder)), backbone, options)


def _configuration(
    embedder: Embedder, backbone: MLLM, options: dict[str, Any]
) -> dict[str, dict[str, Any] | list[dict[str, Any]]]:
    """Contents by name of the files of sentence-transformers."""
    template = backbone.checkpoint.template
    reads = {"method": "forward", "method_output_name": "last_hidden_state"}
    size = int(backbone.checkpoint.model.config.get_text_config().hidden_size)
    model: dict[str, Any] = {
        "__version__": {
            "sentence_transformers": WRITTEN_FOR,
            "transformers": transformers().__version__,
            "pytorch": torch().__version__,
        },
        "model_type": "SentenceTransformer",
        "prompts": {"query": template.query or "", "document": template.document or ""},
        "default_prompt_name": None if template.document is None else "document",
        "similarity_fn_name": "cosine",
    }
    if embedder.dimension < size:
        model["truncate_dim"] = embedder.dimension
    return {
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": kind}
            for number, (path, kind) in enumerate(_MODULES)
        ],
        "config_sentence_transformers.json": model,
        "sentence_bert_config.json": {
            "transformer_task": "feature-extraction",
            "modality_config": {
                **{kind: reads for kind in ("text", "image", "video")},
                "message": {**reads, "format": "structured"},
            },
            "module_output_name": "token_embeddings",
            "processing_kwargs": options,
            "unpad_inputs": False,  # positions of three axes do not lie in one row
        },
        "1_Pooling/config.json": {
            "embedding_dimension": size,
            "pooling_mode": "lasttoken",
            "include_prompt": True,
        },
        "2_Normalize/config.json": {
            "module_input_name": "sentence_embedding",
            "module_output_name": "sentence_embedding",
        },
    }
