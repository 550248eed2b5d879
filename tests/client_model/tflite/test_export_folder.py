import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from client_model.tflite.export_folder import (
    MANIFEST,
    SIGNATURE,
    VerificationError,
    place_files,
    read_private_key,
    read_public_key,
    sign_folder,
    verify_folder,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def folder(tmp_path):
    """Two files with their manifest, signed."""
    target, draft = tmp_path / "model", tmp_path / "draft"
    target.mkdir()
    draft.mkdir()
    (draft / "a.tflite").write_bytes(b"first")
    (target / "vocab.txt").write_text("words")
    place_files(draft, target, {"a.tflite": {"recall": 0.5}}, ("vocab.txt",))
    sign_folder(target, KEY)
    return target


def displaced(path):
    path.unlink()
    return path


def linked(path, target):
    path.symlink_to(target)


def restate(folder, **changes):
    """Let the manifest say something else of a file."""
    entries = json.loads((folder / MANIFEST).read_text())
    entries["a.tflite"] |= changes
    (folder / MANIFEST).write_text(json.dumps(entries))
    sign_folder(folder, KEY)


def rename(folder, name):
    """Let the manifest have an entry of that name, signed as well."""
    entries = json.loads((folder / MANIFEST).read_text())
    entries[name] = entries["a.tflite"]
    (folder / MANIFEST).write_text(json.dumps(entries))
    sign_folder(folder, KEY)


@pytest.mark.parametrize("stated", [5, 2**40])
def test_a_file_of_holes_is_refused_before_it_is_read(folder, stated):
    """One of 1 TiB would be hashed for an hour, whether the manifest fits it or not."""
    os.truncate(folder / "a.tflite", 2**40)
    restate(folder, bytes=stated)
    with pytest.raises(VerificationError, match=r"1,099,511,627,776 bytes$"):
        verify_folder(folder, None)
    draft = folder.parent / "next"
    draft.mkdir()
    place_files(draft, folder, {}) if stated == 5 else None  # which looks at what is there as well
    with pytest.raises(VerificationError, match=r"1,099,511,627,776 bytes$" if stated > 5 else r"one more$"):
        verify_folder(folder, None)


def test_a_folder_as_it_was_signed_is_verified(folder):
    entries = verify_folder(folder, KEY.public_key())
    assert set(entries) == {"a.tflite", "vocab.txt"} and entries["a.tflite"]["recall"] == 0.5
    assert len((folder / SIGNATURE).read_bytes()) == 64


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "a.tflite").write_bytes(b"First"), "expected 5 bytes with sha256"),
        (lambda f: (f / "a.tflite").unlink(), "expected a file of the manifest, found none"),
        (lambda f: (f / "b.tflite").write_bytes(b""), "expected only files of the manifest"),
        (lambda f: (f / SIGNATURE).unlink(), "manifest.sig: expected a signature, found no such file or directory$"),
        (lambda f: (f / SIGNATURE).write_bytes(b"x" * 64), "expected a signature of manifest.json by this key"),
        (lambda f: (f / MANIFEST).write_text("[]"), "expected a manifest of files"),
        (
            lambda f: (f / MANIFEST).unlink(),
            "manifest.json: expected a manifest of files, found no such file or directory$",
        ),
        (
            lambda f: (f / MANIFEST).write_text("x"),
            "manifest.json:1: expected a manifest of files, found invalid JSON ",
        ),
        (
            lambda f: (f / MANIFEST).write_text("[" * 99_999),
            "expected a manifest of files, found more than 100 levels$",
        ),
        (lambda f: (f / MANIFEST).write_text("null"), "expected a manifest of files, found null$"),
        *(
            (lambda f, entry=entry: (f / MANIFEST).write_text(json.dumps({"a.tflite": entry})), "found a file without$")
            for entry in (None, 3, {}, {"bytes": 5}, {"bytes": "5", "sha256": "x"}, {"bytes": 5, "sha256": None})
        ),
        (lambda f: (f / MANIFEST).write_text("{}"), "expected a manifest of files, found none in it$"),
        (lambda f: restate(f, bytes=6), "a.tflite: expected 6 bytes with sha256 .*, found 5 bytes$"),
        (lambda f: restate(f, bytes=-5), "found a file without$"),
        (lambda f: restate(f, sha256="A" * 64), "found a file without$"),
        (lambda f: (f / "more").mkdir(), "more: expected nothing but files, found a folder$"),
        (lambda f: (f / ".hidden").write_bytes(b""), ".hidden: expected only files of the manifest, found one more$"),
        (lambda f: os.mkfifo(f / "a.fifo"), "a.fifo: expected nothing but files, found something else$"),
        (lambda f: linked(f / "a.tflite", (f / "a.tflite").rename(f.parent / "a")), "found a link$"),
        (lambda f: os.mkfifo(displaced(f / SIGNATURE)), "manifest.sig: expected a signature, found a pipe$"),
        (lambda f: os.mkfifo(displaced(f / MANIFEST)), "manifest.json: expected a manifest of files, found a pipe$"),
        *(
            (
                lambda f, name=name: rename(f, name),
                "manifest.json: expected names of files of an export, found another$",
            )
            for name in ("../a", "/etc/passwd", "x\ny", "\x1b[1Aall", "", ".", "..", "a/b", "a\\b", MANIFEST, "a" * 300)
        ),
    ],
)
def test_every_harm_is_found_and_named(folder, harm, message):
    harm(folder)
    with pytest.raises(VerificationError, match=message):
        verify_folder(folder, KEY.public_key())


def test_another_key_does_not_verify(folder):
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    with pytest.raises(VerificationError, match="by this key, found another"):
        verify_folder(folder, other)


def test_new_files_end_the_former_signature(folder, tmp_path):
    draft = tmp_path / "more"
    draft.mkdir()
    (draft / "b.tflite").write_bytes(b"second")
    place_files(draft, folder, {})
    assert not (folder / SIGNATURE).exists()
    assert set(verify_folder(folder, None)) == {"a.tflite", "b.tflite", "vocab.txt"}  # what stayed is still listed


def test_files_of_other_weights_are_not_vouched_for(folder, tmp_path):
    for name, weights in (("b.tflite", "old"), ("c.tflite", "new")):
        draft = tmp_path / name
        draft.mkdir()
        (draft / name).write_bytes(b"model")
        place_files(draft, folder, {name: {"weights_sha256": weights}})
    with pytest.raises(VerificationError, match=r"b.tflite: expected only files of the manifest"):
        verify_folder(folder, None)
    (folder / "b.tflite").unlink()
    assert set(verify_folder(folder, None)) == {"a.tflite", "c.tflite", "vocab.txt"}


def test_a_manifest_that_cannot_be_read_is_written_anew(folder, tmp_path):
    (folder / MANIFEST).write_text('{"a.tflite": "gone wrong"}')
    draft = tmp_path / "more"
    draft.mkdir()
    (draft / "b.tflite").write_bytes(b"second")
    place_files(draft, folder, {})
    assert set(json.loads((folder / MANIFEST).read_text())) == {"b.tflite"}


def test_keys(tmp_path):
    private, public, other = (tmp_path / name for name in ("private.pem", "public.pem", "other.pem"))
    private.write_bytes(pem(KEY))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    other.write_bytes(pem(X25519PrivateKey.generate()))
    assert read_private_key(private).sign(b"x") == KEY.sign(b"x")
    read_public_key(public).verify(KEY.sign(b"x"), b"x")
    for read, path, message in (
        (read_private_key, other, "expected an Ed25519 key, found"),
        (read_private_key, public, "expected a private key in PEM"),
        (read_public_key, private, "expected a public key in PEM, found none$"),
        (
            read_public_key,
            tmp_path / "none.pem",
            "none.pem: expected a public key in PEM, found no such file or directory$",
        ),
    ):
        with pytest.raises(VerificationError, match=message):
            read(path)


PRIME = 2**255 - 19
OF_ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
LOW_ORDER = {
    "1": (1).to_bytes(32, "little"),
    "2": (PRIME - 1).to_bytes(32, "little"),
    "4": bytes(32),
    "4, its other sign": bytes(31) + b"\x80",
    "8": bytes.fromhex(OF_ORDER_8),
    "8, its negative": (PRIME - int.from_bytes(bytes.fromhex(OF_ORDER_8), "little")).to_bytes(32, "little"),
    "1, written as more than the prime": (PRIME + 1).to_bytes(32, "little"),
}


@pytest.mark.parametrize("order", LOW_ORDER)
def test_a_key_by_which_anybody_signs_is_refused(tmp_path, order):
    path, key = tmp_path / "low.pem", Ed25519PublicKey.from_public_bytes(LOW_ORDER[order])
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(VerificationError, match=r"low\.pem: expected an Ed25519 key, found a point of low order"):
        read_public_key(path)
