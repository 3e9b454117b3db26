"""The embedder: its calls, its refusals, and vectors that do not depend on how work is cut."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from kinoscope import weights
from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, SetupError, UsageError
from kinoscope.heads import normalise
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import Features, Frames, States, check_vectors
from kinoscope.video import VideoReader

SENTENCES = [
    " ".join(["a red door opens slowly and a woman walks out"] * n)[n:] for n in range(1, 24)
]


@pytest.fixture(scope="module")
def embedder():
    return Embedder.load(threads=2)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Seven seconds of 96x64 at 10 frames a second; another pattern each second."""
    path = tmp_path_factory.mktemp("film") / "seven seconds.mp4"
    patterns = np.random.default_rng(1).integers(0, 256, (7, 4, 6, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = Fraction(1, 10)
        for i in range(70):
            picture = patterns[i // 10].repeat(16, axis=0).repeat(16, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def frames(film):
    with VideoReader(film, policy="exact", side_px=260) as reader:
        parts = list(reader.sample(grid_times(SamplingConfig(), None)))
    return Frames(
        np.concatenate([p.rgb_FHWC for p in parts]), np.concatenate([p.times_F for p in parts])
    )


class Plain:
    """A backbone of three dimensions whose states are what it is given."""

    model, weights, prompts, head = "plain", "w", "p", "mean"
    dimension, max_tokens, centre_D = 3, 99, None
    kinds = frozenset({"text", "video", "image", "composed"})

    def __init__(self):
        self.clips = []

    def count_tokens(self, text):
        return len(text)

    def vision(self, frames):
        return Features(frames.rgb_FHWC.mean(axis=(1, 2), dtype=np.float32), frames.times_F)

    def states(self, contents):
        """The last content first, each alone: callers must put rows back in order."""
        for n in reversed(range(len(contents))):
            content = contents[n]
            rows = [] if content.clip is None else list(content.clip.values_F)
            if content.text is not None:
                rows.append([len(content.text), content.text.count("a"), 1.0])
            self.clips.append(content)
            states = np.array([rows], np.float32)
            yield [n], States(states, np.ones(states.shape[:2], np.bool_))


def features_of(count, step_s=1.0):
    values = np.random.default_rng(count).uniform(0.1, 1, (count, 3)).astype(np.float32)
    return Features(values, (np.arange(count) + 0.5) * step_s)


def same(a, b):
    return (a * b).sum(axis=-1).min() >= 0.9999


def test_one_query_is_a_vector_and_many_are_rows(embedder):
    one, many = embedder.encode_query("a dog"), embedder.encode_query(["a dog", "a cat"])
    assert one.shape == (384,)
    assert many.shape == (2, 384)
    np.testing.assert_allclose(one, many[0], atol=1e-5)
    check_vectors(many)
    assert embedder.encode_query([]).shape == (0, 384)


def test_queries_keep_their_order_and_do_not_depend_on_their_batch(embedder):
    shuffled = [SENTENCES[i] for i in np.random.default_rng(3).permutation(len(SENTENCES))]
    together = embedder.encode_query(shuffled)
    alone = np.stack([embedder.encode_query(text) for text in shuffled])
    assert same(together, alone)
    assert len({row.tobytes() for row in together}) == len(shuffled)


@pytest.mark.parametrize("text", ["", "  \n\t", "\u00a0\u2003"])
@pytest.mark.parametrize("call", ["encode_query", "encode_document"])
def test_a_blank_text_is_refused(embedder, call, text):
    with pytest.raises(UsageError, match="text is empty"):
        getattr(embedder, call)([text])


@pytest.mark.parametrize("call", ["encode_query", "encode_document"])
def test_a_text_over_64_kib_is_refused_with_its_size(embedder, call):
    with pytest.raises(UsageError, match="has 65538 bytes: give at most 65536"):
        getattr(embedder, call)("é" * 32_769)


def test_a_text_up_to_64_kib_is_cut_with_a_warning(embedder):
    with pytest.warns(UserWarning, match="cut to their first 256 tokens"):
        vector = embedder.encode_query("wo" * 2 + " word" * 13_000)
    check_vectors(vector[None])


def test_text_that_is_no_unicode_is_refused(embedder):
    with pytest.raises(UsageError, match="not valid Unicode"):
        embedder.encode_query("a \ud800 dog")


@pytest.mark.parametrize("wrong", [None, 3, b"dog"])
def test_a_query_that_is_no_string_is_named_by_type(embedder, wrong):
    with pytest.raises(UsageError, match=f"text of type {type(wrong).__name__}"):
        embedder.encode_query(["a dog", wrong])


def test_a_film_is_its_whole_and_its_windows(embedder, film, frames):
    clips = embedder.encode_video(film)
    assert clips.scales == ("whole", "4s", "4s", "4s")
    assert [(s.start_s, s.end_s) for s in clips.spans] == [(0, 7), (0, 4), (2, 6), (3, 7)]
    rows = embedder.vision(frames).values_F
    chosen = [range(7), range(4), range(2, 6), range(3, 7)]
    naive = np.stack([rows[list(indices)].mean(axis=0) for indices in chosen])
    assert same(clips.vectors_ND, normalise(naive))


def test_frames_give_the_vectors_of_their_file(embedder, film, frames):
    from_file, from_frames = embedder.encode_video(film), embedder.encode_video(frames)
    assert same(from_file.vectors_ND, from_frames.vectors_ND)
    # frames alone do not tell when the last of them ends: it is taken to last as long as the others
    assert [span.start_s for span in from_frames.spans] == [0, 0, 2, 3.5]
    assert from_frames.spans[0].end_s == from_frames.spans[-1].end_s == 7.5


def test_a_single_frame_is_a_clip_of_one_sampling_step(embedder, frames):
    clips = embedder.encode_video(Frames(frames.rgb_FHWC[:1], np.zeros(1)))
    assert {(s.start_s, s.end_s) for s in clips.spans} == {(0.0, 1.0)}


@pytest.mark.parametrize("call", ["encode_video", "encode_document"])
def test_no_frames_are_refused(embedder, call):
    none = Frames(np.empty((0, 260, 260, 3), np.uint8), np.empty(0))
    with pytest.raises(UsageError, match="no frames: give at least one"):
        getattr(embedder, call)(none)


def test_every_way_to_name_a_document_gives_its_vector(embedder, film, frames):
    whole = embedder.encode_video(film).vectors_ND[0]
    ways = [film, str(film), {"video": film}, {"video": str(film)}, frames, {"video": frames}]
    vectors = embedder.encode_document(["a dog", *ways, {"text": "a dog"}])
    assert vectors.shape == (8, 384)
    assert same(vectors[1:-1], whole)
    assert same(vectors[[0, -1]], embedder.encode_query("a dog"))
    for single in (film, str(film), {"video": film}, frames):
        assert embedder.encode_document(single).shape == (384,)


def test_a_string_is_a_file_if_it_exists_or_ends_like_a_video(embedder, film, tmp_path):
    bare = tmp_path / "no suffix"
    bare.write_bytes(film.read_bytes())
    assert same(embedder.encode_document(str(bare)), embedder.encode_document(film))
    with pytest.raises(MediaError, match=r"absent\.MP4") as caught:
        embedder.encode_document("absent.MP4")
    assert caught.value.fault == "missing"
    sentence = "a very long walk " * 60
    assert same(embedder.encode_document(sentence), embedder.encode_query(sentence))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"video": "a.mp4", "text": "a dog"}, "concepts model cannot compose a video and a text"),
        ({"audio": "a.wav"}, r"with \['audio'\]: give"),
        ({"video": 3}, r"with \['video'\]: give"),
        ({"text": 3}, "text of type int"),
        ({}, "give"),
        (3, "document of type int"),
        (None, "document of type NoneType"),
    ],
)
def test_a_document_that_cannot_be_read_is_named_before_any_work(embedder, document, words):
    with pytest.raises(UsageError, match=words):
        embedder.encode_document(["no-such-file.mp4", document])


def test_a_mixed_list_keeps_its_order_and_kinds(frames):
    plain = Plain()
    picture = frames.take([2])
    inputs = ["a cat", frames, {"image": picture}, {"video": frames, "text": "at night"}, "b"]
    together = Embedder(plain).encode_document(inputs)
    assert [content.kind for content in reversed(plain.clips)] == [
        "text", "video", "image", "composed", "text",
    ]  # fmt: skip
    assert {content.role for content in plain.clips} == {"document"}
    for item, vector in zip(inputs, together, strict=True):
        np.testing.assert_array_equal(Embedder(Plain()).encode_document(item), vector)


def test_a_composed_query_is_a_query_with_video_and_text(frames):
    plain = Plain()
    vector = Embedder(plain).encode_composed(frames, "at night")
    (content,) = plain.clips
    assert (content.kind, content.role, content.text) == ("composed", "query", "at night")
    assert vector.shape == (3,)


def test_more_inputs_than_one_group_come_back_in_order():
    texts = [f"{'a' * (n % 7)} {n}" for n in range(150)]
    vectors = Embedder(Plain()).encode_query(texts)
    wanted = np.array([[len(t), t.count("a"), 1.0] for t in texts], np.float32)
    np.testing.assert_allclose(vectors, normalise(wanted), atol=1e-6)


def test_truncation_keeps_leading_components_and_is_part_of_the_spec(embedder, film):
    short = Embedder.load(truncate_dim=128)
    assert (short.dimension, short.spec.dimension) == (128, 128)
    assert short.spec != embedder.spec
    for call, argument in (("encode_query", ["a dog"]), ("encode_document", [film])):
        full = getattr(embedder, call)(argument)
        assert same(getattr(short, call)(argument), normalise(full[:, :128]))
    assert short.encode_video(film).vectors_ND.shape == (4, 128)


@pytest.mark.parametrize("wrong", [0, -3, 385])
def test_an_impossible_truncation_is_refused_at_once(wrong):
    with pytest.raises(UsageError, match=rf"truncate_dim {wrong}: choose 1\.\.384"):
        Embedder.load(truncate_dim=wrong)


@pytest.mark.parametrize("dimension", [384, 128, 48])
def test_the_reference_mean_is_the_mean_of_truncated_class_vectors(dimension):
    vectors = np.load(weights.model_files().class_vectors, allow_pickle=False)
    exact = normalise(vectors[:, :dimension]).mean(axis=0)
    mean = Embedder.load(truncate_dim=dimension).reference_mean_D
    assert mean.shape == (dimension,)
    assert np.linalg.norm(mean - exact) < 0.04 * np.linalg.norm(exact)


def test_a_model_without_centring_says_so():
    plain = Embedder(Plain())
    assert plain.reference_mean_D is None
    assert plain.spec.centring == "none"


def test_the_spec_says_what_decides_a_vector(embedder):
    spec = embedder.spec
    assert (spec.model, spec.weights) == ("concepts", weights.SOURCES_HASH)
    assert spec.sampling == "exact 1fps min4 260px 4s/2s"
    assert spec.centring == "library mean, shrunk by 20 videos"
    assert (spec.thinking, spec.dimension, spec.normalised) == ("none", 384, True)
    assert Embedder.load().spec == spec
    other = Embedder.load(sampling=SamplingConfig(policy="keyframe"))
    assert other.spec.fingerprint != spec.fingerprint


def test_an_unknown_model_is_answered_with_the_known(embedder):
    with pytest.raises(UsageError, match="'clip' is unknown: choose concepts"):
        Embedder.load("clip")


def test_a_sampling_that_the_model_cannot_read_is_refused_at_once():
    with pytest.raises(UsageError, match="side_px 224: the concepts model reads 260"):
        Embedder.load(sampling=SamplingConfig(side_px=224))


def test_without_weights_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match="run: kinoscope setup"):
        Embedder.load()


def test_similarity_is_the_cosine_of_every_pair(embedder):
    a, b = np.array([[3, 4], [0, 2]]), np.array([[4, 3], [-1, 0], [0, 9]])
    found = embedder.similarity(a, b)
    np.testing.assert_allclose(found, [[0.96, -0.6, 0.8], [0.6, 0, 1]], atol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(embedder.similarity(a[0], b), found[:1], atol=1e-6)
    assert embedder.similarity(np.empty((0, 2)), b).shape == (0, 3)


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (np.ones((1, 3)), "3 and 2 components"),
        (np.ones((1, 2, 2)), r"shape \[1, 2, 2\]"),
        (np.zeros((1, 2)), "zero or not finite"),
        (np.array([[1, np.nan]]), "zero or not finite"),
        (np.array([[1, np.inf]]), "zero or not finite"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(embedder, a, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pair in ((a, np.ones((1, 2))), (np.ones((1, 2)), a)):
            with pytest.raises(UsageError, match=words if "and" not in words else "components"):
                embedder.similarity(*pair)


def test_threads_must_be_positive():
    with pytest.raises(UsageError, match="threads 0"):
        Embedder.load(threads=0)
