"""The small multimodal LLM in tiny: files as setup makes them, and a stand-in for its tower."""

import json
from pathlib import Path

import numpy as np

from kinoscope import libraries
from kinoscope.backbones.mini import PLACEHOLDER
from kinoscope.backbones.mllm import MLLM
from kinoscope.mini_weights import CHANNELS, GRID, MiniFiles
from kinoscope.weights import CLASSES, SIDE_PX
from tests.tiny_tokenizer import tokenizer

WIDE = 64


class Tower:
    """A stand-in for the vision tower: its grid holds coarse pixels, its opinion a brightness."""

    def run(self, _outputs, feed):
        rgb_FHWC = feed["rgb_FHWC"].astype(np.float32) / 255
        assert rgb_FHWC.shape[1:] == (SIDE_PX, SIDE_PX, 3)
        cells = rgb_FHWC[:, :: SIDE_PX // GRID + 1, :: SIDE_PX // GRID + 1]
        grid = np.concatenate([cells] * (CHANNELS // 3), axis=3).reshape(len(cells), -1)
        classes = np.zeros((len(cells), CLASSES), np.float32)
        bright = (rgb_FHWC.mean(axis=(1, 2, 3)) * 900).astype(int)
        classes[np.arange(len(cells)), bright] = 0.7
        classes[:, 950] = 0.3
        return [np.concatenate([classes, grid], axis=1)]


def tiny_mini_files(folder: Path) -> MiniFiles:
    """What setup makes, with a language model of three layers."""
    library = libraries.transformers()
    words = tokenizer(("<|im_start|>", "<|im_end|>", PLACEHOLDER), eos_token="<|im_end|>")
    words.save_pretrained(folder)
    config = library.LlamaConfig(
        hidden_size=WIDE, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, vocab_size=len(words), tie_word_embeddings=True,
        initializer_range=0.2, eos_token_id=words.eos_token_id, pad_token_id=words.eos_token_id,
    )  # fmt: skip
    libraries.torch().manual_seed(0)
    model = library.LlamaForCausalLM(config)
    state = {n: v.half().contiguous() for n, v in model.state_dict().items() if "lm_head" not in n}
    libraries.imported("safetensors.torch").save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict()))
    (folder / "class_names.json").write_text(json.dumps([f"thing {n}" for n in range(CLASSES)]))
    (folder / "vision.onnx").write_bytes(b"stand-in")
    return MiniFiles(
        language_model=folder,
        vision=folder / "vision.onnx",
        class_names=folder / "class_names.json",
    )


def as_if_trained(backbone: MLLM) -> MLLM:
    """Gives its connector something to say."""
    torch = libraries.torch()
    torch.manual_seed(1)
    for part in ("leave", "enter", "hidden"):
        values = getattr(backbone.checkpoint.model.model.connector, part).weight
        torch.nn.init.normal_(values, std=0.2)
    return backbone
