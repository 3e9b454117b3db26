"""An embedder passes MTEB's own mock tasks, without network, and gives its own vectors there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinoscope import Embedder, libraries
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import MediaError, SetupError, UsageError
from kinoscope.interop.mteb import wrap
from tests.interop.parity import least_cosine
from tests.tiny import moving_frames, tiny

SAME = 0.9999
TASKS = (
    "MockBitextMiningTask",
    "MockClassificationTask",
    "MockRetrievalTask",
    "MockRetrievalDialogTask",
    "MockInstructionRetrieval",
    "MockSTSTask",
    "MockSummarizationTask",
    "MockAny2AnyRetrievalT2I",
    "MockAny2AnyRetrievalI2T",
    "MockImageClassification",
    "MockVideoRetrievalT2V",
    "MockVideoRetrievalV2T",
    "MockVideoClassification",
    "MockVideoPairClassification",
)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tiny("qwen3_vl", tmp_path_factory.mktemp("qwen3"))
    return Embedder.load(str(folder), options=LoadOptions(template="instruction"))


class Loader:
    """A data loader over columns, as MTEB makes them: images and videos in lists."""

    def __init__(self, columns: dict[str, Any], batch: int = 2, **kinds: Any) -> None:
        datasets = libraries.imported("datasets")
        self.dataset = datasets.Dataset.from_dict(columns)
        for name, kind in kinds.items():
            self.dataset = self.dataset.cast_column(name, getattr(datasets, kind)())
        self._batch = batch

    def __iter__(self) -> Iterator[dict[str, list[Any]]]:
        for start in range(0, len(self.dataset), self._batch):
            rows = [
                self.dataset[i] for i in range(start, min(start + self._batch, len(self.dataset)))
            ]
            yield {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # of scores of 2 rows
@pytest.mark.parametrize("name", TASKS)
def test_mock_tasks_of_the_benchmark_give_finite_scores(
    name: str, embedder: Embedder, no_network: None
) -> None:
    model = wrap(embedder)
    mteb = libraries.imported("mteb")
    mocks = libraries.imported("mteb.mocks.mock_run")
    task = next(t for t in mocks.get_compatible_mock_tasks(model) if t.metadata.name == name)
    results = mteb.evaluate(model, [task], cache=None, show_progress_bar=False)
    assert np.isfinite(results.task_results[0].get_score())


def test_the_model_keeps_the_benchmarks_protocol(embedder: Embedder) -> None:
    model = wrap(embedder)
    protocols = libraries.imported("mteb.models.models_protocols")
    assert isinstance(model, protocols.EncoderProtocol)
    meta = model.mteb_model_meta
    assert meta.revision == embedder.spec.fingerprint
    assert meta.modalities == ["text", "image", "video"]
    assert meta.embed_dim == 64


def test_texts_are_encoded_by_their_role_in_their_order(embedder: Embedder) -> None:
    texts = ["a dog", "the door opens and then someone looks outside", "snow.mp4", "a red car", "."]
    model, prompts = wrap(embedder), libraries.imported("mteb.types").PromptType
    documents_ND = model.encode(Loader({"text": texts}), prompt_type=prompts.document, batch_size=2)
    queries_ND = model.encode(Loader({"text": texts}), prompt_type=prompts.query)
    neither_ND = model.encode(Loader({"text": texts}))
    own_ND = embedder.encode_document([{"text": text} for text in texts])
    assert least_cosine(documents_ND, own_ND) >= SAME
    assert least_cosine(neither_ND, own_ND) >= SAME
    assert least_cosine(queries_ND, embedder.encode_query(texts)) >= SAME
    assert least_cosine(queries_ND, documents_ND) < 0.99


def test_pictures_are_those_of_files(embedder: Embedder, tmp_path: Path) -> None:
    from PIL import Image

    images = [Image.fromarray(moving_frames(1, h, 1200, h).rgb_FHWC[0]) for h in (400, 700)]
    for number, image in enumerate(images):
        image.convert("RGBA").save(tmp_path / f"{number}.png")
    given = Loader({"image": images, "text": ["at night", "in snow"]})
    own = [
        {"image": tmp_path / f"{number}.png", "text": text}
        for number, text in enumerate(("at night", "in snow"))
    ]
    found_ND = wrap(embedder).encode(given)
    assert least_cosine(found_ND, embedder.encode_document(own)) >= SAME


@pytest.mark.parametrize("form", ("path", "bytes"))
def test_videos_are_decoded_here_from_files_and_bytes(
    form: str, embedder: Embedder, video_folder: Path
) -> None:
    paths = [video_folder / name for name in ("short.mp4", "long.mp4", "inner/third.mp4")]
    column = [path.read_bytes() if form == "bytes" else str(path) for path in paths]
    loader = Loader({"video": column, "text": ["a", "b", "c"]}, video="Video")
    own = [{"video": path, "text": text} for path, text in zip(paths, "abc", strict=True)]
    found_ND = wrap(embedder).encode(loader, batch_size=2)
    assert least_cosine(found_ND, embedder.encode_document(own)) >= SAME


def test_a_video_without_frames_raises(embedder: Embedder) -> None:
    loader = Loader({"video": [b"no video at all"]}, video="Video")
    with pytest.raises(MediaError, match="not"):
        wrap(embedder).encode(loader)


def test_a_missing_video_raises(embedder: Embedder, tmp_path: Path) -> None:
    loader = Loader({"video": [str(tmp_path / "gone.mp4")]}, video="Video")
    with pytest.raises(MediaError, match=r"gone.mp4"):
        wrap(embedder).encode(loader)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["a", None]}, "rows of text: they have no text, picture or video"),
        ({"text": ["a", "  "]}, "the text is empty"),
        ({"image": ["a.png"]}, "an image of type str"),
        ({"video": ["a.mp4"]}, "a video of type str"),
        ({"audio": ["a"]}, "rows of audio: they have no text"),
    ],
)
def test_a_row_without_an_input_raises(
    columns: dict[str, Any], words: str, embedder: Embedder
) -> None:
    class Plain(list[dict[str, Any]]):
        """A data loader over a data set without columns that are known."""

        dataset = ()

    with pytest.raises(UsageError, match=words):
        wrap(embedder).encode(Plain([columns]))


def test_similarities_are_cosines(embedder: Embedder) -> None:
    model = wrap(embedder)
    a_ND, b_ND = np.random.default_rng(0).normal(size=(2, 3, 8))
    directions = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a_ND, b_ND)]
    cosines_NN = directions[0] @ directions[1].T
    torch = libraries.torch()
    assert np.allclose(model.similarity(torch.from_numpy(a_ND), b_ND), cosines_NN, atol=1e-6)
    assert np.allclose(model.similarity_pairwise(a_ND, b_ND), cosines_NN.diagonal(), atol=1e-6)
    assert float(model.similarity(a_ND[0], b_ND[0])) == pytest.approx(cosines_NN[0, 0], abs=1e-6)


def test_without_the_benchmark_the_install_command_is_told(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mteb.models.model_meta", None)
    with pytest.raises(SetupError, match=r"pip install 'kinoscope\[eval\]'"):
        wrap(embedder)
