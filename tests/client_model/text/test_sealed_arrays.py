"""Tokenised text that is encrypted reads as the plain one does."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.config import DataConfig
from client_model.text import tokenised_file
from client_model.text.population import PopulationSpec, open_population, prepare_population
from client_model.text.sealed_arrays import SealedArray, write_sealed_array
from typefleet.errors import ConfigError
from typefleet.sealed import chunks
from typefleet.sealed.chunks import SealedError

KEY = bytes(range(32))
ARRAY = np.arange(20_000, dtype=np.int32) * 7 % 9973  # more than a chunk


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    path = tmp_path_factory.mktemp("sealed") / "types.npy"
    with path.open("wb") as file:
        write_sealed_array(ARRAY, path.name, KEY, file)
    return SealedArray(path, KEY)


@settings(max_examples=60)
@given(st.data())
def test_it_is_indexed_as_an_array(sealed, data):
    place = st.integers(0, len(ARRAY) - 1)
    begin, end = sorted((data.draw(place), data.draw(place)))
    some = np.array(data.draw(st.lists(place, max_size=9)), np.int64)
    assert sealed[begin] == ARRAY[begin] and sealed[begin:end].tolist() == ARRAY[begin:end].tolist()
    assert sealed[some].tolist() == ARRAY[some].tolist() and sealed[some].dtype == ARRAY.dtype
    assert sealed[end:begin].tolist() == ARRAY[end:begin].tolist() and len(sealed) == len(ARRAY)


def test_places_beyond_it_and_what_is_no_array_are_refused(sealed, tmp_path):
    with pytest.raises(IndexError):
        sealed[len(ARRAY)]
    for name, content in (("text.npy", b"no array at all"), ("two.npy", None), ("types.npy", b"")):
        path = tmp_path / name
        with path.open("wb") as file:
            if content is None:
                write_sealed_array(np.zeros((2, 2)), name, KEY, file)
            else:
                chunks.seal(file, [content], KEY, name)
        with pytest.raises(SealedError, match="expected an array"):
            SealedArray(path, KEY)


def test_only_the_chunks_that_are_asked_for_are_decrypted(sealed, monkeypatch):
    asked = []
    chunk = chunks.SealedFile._chunk
    monkeypatch.setattr(chunks.SealedFile, "_chunk", lambda self, index: asked.append(index) or chunk(self, index))
    sealed[17_000:17_010]
    assert asked == [(128 + 4 * 17_000) // chunks.CHUNK_BYTES]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "m.jsonl").write_text(
        "".join(json.dumps({"user_id": f"u{n % 5}", "text": f"walnut {n} tundra"}) + "\n" for n in range(40))
    )
    for name in ("key", "other"):
        (tmp_path / name).write_text({"key": "a", "other": "b"}[name] * 64)
        (tmp_path / name).chmod(0o600)
    return tmp_path, DataConfig(path=tmp_path / "m.jsonl", cache_dir=tmp_path / "cache")


def test_an_encrypted_copy_says_what_the_plain_one_says(text, caplog):
    root, config = text
    plain = open_population(prepare_population(config, 0, None))
    with caplog.at_level(logging.WARNING):
        spec = prepare_population(config, 0, None, storage_key=str(root / "key"))
    assert "is not encrypted" in caplog.text
    again = prepare_population(config, 0, None, storage_key=str(root / "key"))
    assert again == spec and "encrypted" in Path(spec.cache_folder).name
    other = open_population(spec)
    assert other.lexicon == plain.lexicon and (other.digests() == plain.digests()).all()
    for phone in range(plain.num_phones):
        for mine, theirs in zip(other.types(phone), plain.types(phone), strict=True):
            assert mine.tolist() == theirs.tolist()
        assert other.message_lengths(phone).tolist() == plain.message_lengths(phone).tolist()
        some = np.array([2, 0])
        assert other.types(phone, some)[0].tolist() == plain.types(phone, some)[0].tolist()


def test_another_key_is_refused_and_the_copy_stays(text):
    root, config = text
    spec = prepare_population(config, 0, None, storage_key=str(root / "key"))
    said = "--storage.key: expected the key of fingerprint .*, found another one; with --data.cache-dir"
    with pytest.raises(ConfigError, match=said):
        prepare_population(config, 0, None, storage_key=str(root / "other"))
    elsewhere = replace(config, cache_dir=root / "another cache")  # as the message says
    prepare_population(elsewhere, 0, None, storage_key=str(root / "other"))
    assert prepare_population(config, 0, None, storage_key=str(root / "key")) == spec
    assert open_population(spec).num_phones == 5


def test_a_file_of_another_copy_is_refused(text, monkeypatch):
    """Two files of messages under one storage key: their tokenised copies have keys of their own."""
    root, config = text
    (root / "n.jsonl").write_text((root / "m.jsonl").read_text().replace("walnut", "marzipan"))
    own, theirs = (
        Path(prepare_population(replace(config, path=root / name), 0, None, storage_key=str(root / "key")).cache_folder)
        for name in ("m.jsonl", "n.jsonl")
    )
    (own / "types.npy").write_bytes((theirs / "types.npy").read_bytes())
    monkeypatch.setattr(tokenised_file, "hold", lambda folder: (folder / "about.json").open("rb"))
    with pytest.raises(SealedError, match="changed, cut short, or sealed elsewhere"):
        open_population(PopulationSpec(0, 5, str(own)))
