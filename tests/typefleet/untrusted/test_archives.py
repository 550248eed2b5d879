import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.fuzz.run_cases import BOMB, ONE, npy, npz, stating
from typefleet.errors import ConfigError
from typefleet.untrusted.archives import read_arrays, read_inner_files

WHAT = "the weights of a run"
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
dtypes = st.sampled_from(["?", "<i1", "<u1", "<i2", ">i4", "<i8", "<u8", ">f4", "<f2", "<f8", "<f4"]).map(np.dtype)


@given(hnp.arrays(dtypes, shapes), st.booleans(), st.booleans())
def test_what_numpy_writes_is_read_as_numpy_reads_it(tmp_path_factory, array, packed, turned):
    path = tmp_path_factory.getbasetemp() / "some.npz"
    array = np.asfortranarray(array) if turned else array
    (np.savez_compressed if packed else np.savez)(path, first=array, second=np.arange(3))
    found = read_arrays(path, WHAT)
    assert list(found) == ["first", "second"]
    with np.load(path) as stored:
        np.testing.assert_array_equal(found["first"], stored["first"])
    first = found["first"]
    assert first.shape == array.shape and first.dtype == array.dtype.newbyteorder("=")
    assert first.flags.writeable and first.flags.aligned
    assert list(read_arrays(path, WHAT, only=("second",))) == ["second"]


@pytest.mark.parametrize(
    "content",
    [
        stating(npz([("a.npy", npy(ONE) + BOMB)], zipfile.ZIP_DEFLATED), (1 << 32) - 2),
        stating(npz([("a.npy", npy(ONE))]), (1 << 32) - 2),
        npz([("a.npy", npy(ONE.replace("(2,)", "(99999999999,)")))]),
    ],
    ids=["packed", "stored", "shape"],
)
def test_nothing_is_allocated_because_a_file_says_that_it_is_large(tmp_path, content):
    path = tmp_path / "bomb.npz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=r"bomb\.npz: expected the weights of a run, found "):
            read_arrays(path, WHAT)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_pickle_is_never_opened(tmp_path):
    path, proof = tmp_path / "evil.npz", tmp_path / "proof"

    class Evil:
        def __reduce__(self):
            return proof.touch, ()

    np.savez(path, first=np.array([Evil()], object))
    with pytest.raises(ConfigError, match="found an array of something else than numbers"):
        read_arrays(path, WHAT)
    assert not proof.exists()


def test_files_behind_a_model_are_read_within_their_limit():
    archive = b"a model" + npz([("a", b"12"), ("b", b"345")])
    assert read_inner_files(archive, "m", "files", most_bytes=5) == {"a": b"12", "b": b"345"}
    with pytest.raises(ConfigError, match="m: expected files, found more than 4 bytes of them"):
        read_inner_files(archive, "m", "files", most_bytes=4)
    bomb = io.BytesIO(stating(npz([("a", BOMB)], zipfile.ZIP_DEFLATED), 3)).getvalue()  # says that it is small
    try:
        assert len(read_inner_files(bomb, "m", "files", most_bytes=5)["a"]) <= 5
    except ConfigError as refused:
        assert str(refused) == "m: expected files, found none"
