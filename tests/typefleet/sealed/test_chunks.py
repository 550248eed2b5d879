"""What a sealed file promises, by trying to break it."""

import io
import zipfile

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from typefleet.sealed.chunks import SealedError, SealedFile, is_sealed, read_sealed, seal, sealed_bytes

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SIZE, HEADER, TAG = 16, 52, 16
SIZES = [0, 1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, 3 * SIZE + 5]


def content_of(length):
    return bytes(7 * place % 251 for place in range(length))


def sealed(path, content, key=KEY, name="one"):
    with path.open("wb") as file:
        seal(file, [content], key, name, chunk_bytes=SIZE)
    return path


def refused(path, key=KEY, name="one"):
    with pytest.raises(SealedError) as caught:
        read_sealed(path, key, name)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("length", SIZES)
def test_what_is_sealed_comes_back_and_is_not_in_the_file(tmp_path, length):
    path = sealed(tmp_path / "a", content_of(length))
    assert read_sealed(path, KEY, "one") == content_of(length) and is_sealed(path)
    assert length < 4 or content_of(length)[:4] not in path.read_bytes()
    assert path.stat().st_size == HEADER + length + TAG * max(1, -(-length // SIZE))


@settings(max_examples=40)
@given(pieces=st.lists(st.binary(max_size=40), max_size=5), places=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_any_part_of_any_pieces_is_what_they_are_together(tmp_path_factory, pieces, places):
    path, whole = tmp_path_factory.mktemp("p") / "a", b"".join(pieces)
    with path.open("wb") as file:
        seal(file, pieces, KEY, "one", chunk_bytes=SIZE)
    begin, end = sorted(round(place * len(whole)) for place in places)
    with SealedFile(path, KEY, "one") as file:
        assert file.part(begin, end) == whole[begin:end]
        file.seek(begin)
        assert file.read() == whole[begin:] and file.seek(0, io.SEEK_END) == len(whole)


def test_it_is_what_the_standards_say(tmp_path):
    """HKDF-SHA256, then AES-256-GCM with the index as nonce: put together here from the form in the docstring."""
    content = content_of(SIZE + 3)
    raw = sealed(tmp_path / "a", content).read_bytes()
    key = HKDF(SHA256(), 32, raw[8:40], b"typefleet sealed file\0" + raw[:HEADER] + b"one").derive(KEY)
    second = AESGCM(key).decrypt(
        (1).to_bytes(12, "big"), raw[HEADER + SIZE + TAG :], (1).to_bytes(8, "little") + (19).to_bytes(8, "little")
    )
    assert second == content[SIZE:]


@pytest.mark.parametrize("length", [0, SIZE, 2 * SIZE + 5])
def test_a_bit_that_is_flipped_anywhere_is_seen(tmp_path, length):
    path = sealed(tmp_path / "a", content_of(length))
    raw = path.read_bytes()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        refused(path)
    path.write_bytes(raw)
    assert read_sealed(path, KEY, "one") == content_of(length)


def test_a_file_that_is_cut_or_longer_is_refused_at_every_length(tmp_path):
    path = sealed(tmp_path / "a", content_of(3 * SIZE))
    raw = path.read_bytes()
    for length in [*range(len(raw)), len(raw) + 1, len(raw) + TAG]:
        path.write_bytes((raw + raw)[:length])
        refused(path)


def test_a_shorter_length_in_the_header_does_not_make_a_cut_file_whole(tmp_path):
    path = sealed(tmp_path / "a", content_of(3 * SIZE))
    raw = path.read_bytes()
    path.write_bytes(raw[:44] + (SIZE).to_bytes(8, "little") + raw[HEADER : HEADER + SIZE + TAG])
    assert "changed, cut short" in refused(path)


def test_chunks_in_another_order_or_of_another_writing_are_refused(tmp_path):
    path, stride = sealed(tmp_path / "a", content_of(3 * SIZE)), SIZE + TAG
    raw = path.read_bytes()
    head, chunks = raw[:HEADER], [raw[HEADER + stride * n : HEADER + stride * (n + 1)] for n in range(3)]
    path.write_bytes(head + chunks[1] + chunks[0] + chunks[2])
    refused(path)
    again = sealed(tmp_path / "b", content_of(3 * SIZE)).read_bytes()
    path.write_bytes(head + chunks[0] + again[HEADER + stride : HEADER + 2 * stride] + chunks[2])
    refused(path)


def test_another_name_another_key_and_no_sealed_file_are_refused(tmp_path):
    path = sealed(tmp_path / "a", b"text")
    refused(path, name="two")
    refused(path, key=OTHER)
    path.write_bytes(b"plain")
    assert "one that is not" in refused(path) and not is_sealed(path)
    path.unlink()
    refused(path)
    path.mkdir()
    refused(path)


def test_a_reader_sees_only_what_it_asks_for(tmp_path):
    """A chunk that is damaged stops nobody from reading another."""
    path = sealed(tmp_path / "a", content_of(3 * SIZE))
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with SealedFile(path, KEY, "one") as file:
        assert file.part(SIZE, 2 * SIZE) == content_of(2 * SIZE)[SIZE:]
        with pytest.raises(SealedError):
            file.part(0, 3 * SIZE)
        with pytest.raises(ValueError, match="expected places up to"):
            file.part(0, 3 * SIZE + 1)


def test_two_writings_of_the_same_share_no_bytes_but_the_form(tmp_path):
    first, second = (sealed_bytes(b"the same text", KEY, "one") for _ in range(2))
    assert first[8:40] != second[8:40] and first[HEADER:] != second[HEADER:]


def test_a_zip_archive_is_read_from_within(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", b"y" * 100)
    path = sealed(tmp_path / "a", inner.getvalue())
    with SealedFile(path, KEY, "one") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("x") == b"y" * 100


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected 32 bytes"):
        sealed_bytes(b"", b"short", "one")
