"""What is usual in a library: worked out once for each state of it, equal to the plain sums."""

import gc
import weakref

import numpy as np

from kinoscope.index.store import Store
from kinoscope.usual import Usual
from tests.made_index import made_index, random_clips, random_units
from tests.made_index import row as file_row


def test_mean_and_cosines_are_the_plain_ones() -> None:
    usual, asked_PD = Usual(random_units(50, seed=1)), random_units(3, seed=2)
    plain_PS = asked_PD.astype(np.float64) @ usual.sample_SD.astype(np.float64).T
    assert np.allclose(usual.cosines(asked_PD), plain_PS, atol=1e-12)
    assert np.allclose(asked_PD.astype(np.float64) @ usual.mean_D, plain_PS.mean(axis=1))


def test_it_is_kept_for_one_state_and_no_longer(tmp_path) -> None:
    index = made_index(tmp_path / "index", {f"v{n}": random_clips(4, n) for n in range(3)})
    derived = index.derived()
    first = Usual.of(derived, derived.moment_N)
    assert Usual.of(derived, derived.moment_N) is first
    wholes = Usual.of(derived, derived.whole_N)
    assert len(first) == 12 and len(wholes) == 3
    some_N = derived.moment_N & (derived.catalog.video_N == 0)
    assert len(Usual.of(derived, some_N)) == 4, "a mask of one's own is looked at anew"
    Store.open(tmp_path / "index").commit([("w", random_clips(5, 9))], [file_row("/films/w", "w")])
    assert len(Usual.of(index.derived(), index.derived().moment_N)) == 17
    gone = weakref.ref(derived)
    del derived, some_N
    gc.collect()
    assert gone() is None, "nothing keeps a state that nobody asks any more"
