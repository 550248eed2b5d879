"""What must be in no file of a run: what single phones wrote and nobody else, who they are, and what keys the noise."""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

_PHONES = 10
# A number, a rare word and a sentence of each of some phones; no part of them is anybody else's.
_WORDS = ("xylomancer", "bury", "ledger", "quince")
SECRETS = [
    secret for phone in range(_PHONES) for secret in (f"492912345678901{phone}", *(f"{word}{phone}" for word in _WORDS))
]
USERS = [f"wrenfield{phone}-harrow" for phone in range(_PHONES)]  # who they are, as the file of messages has it


def plant(path: Path) -> None:
    """Add the messages of these users."""
    with path.open("a") as file:
        for phone, user in enumerate(USERS):
            number, word, *sentence = SECRETS[5 * phone : 5 * phone + 5]
            for text in (f"my card is {number}", f"{word} {word}", " ".join(sentence)):
                file.writelines([json.dumps({"user_id": user, "text": text}) + "\n"] * 5)


def leaks(folder: Path) -> list[tuple[str, str]]:
    """(file, secret) of each word or user that is in some file of a folder, or in its name, compressed or not."""
    searched = {
        one.encode(encoding): one for one in (*SECRETS, *USERS) for encoding in ("utf-8", "utf-16-le", "utf-32-le")
    }
    return _found(folder, searched)


def leaks_of_bits(folder: Path, secret: bytes) -> list[tuple[str, str]]:
    """(file, form) of each form of a secret that is in some file of a folder: raw, as hexadecimal digits, in base64."""
    digits = secret.hex().encode()
    searched = {secret: "raw", secret[::-1]: "raw, backwards", digits: "digits", digits.upper(): "digits"}
    for before in range(3):  # bytes of a group of three that are something else's
        whole = base64.b64encode(bytes(before) + secret)
        inner = whole[4 * (before > 0) : len(whole) - 4]  # of which all characters are the secret's alone
        searched |= {inner: "base64", inner.translate(bytes.maketrans(b"+/", b"-_")): "base64"}
    return _found(folder, searched)


def _found(folder: Path, searched: dict[bytes, str]) -> list[tuple[str, str]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files
    found = set()
    for path in files:
        name = str(path.relative_to(folder))
        for content in (name.encode(), *_contents(path)):
            lower = content.lower()
            found |= {(name, what) for one, what in searched.items() if one in content or one in lower}
    return sorted(found)


def _contents(path: Path) -> Iterator[bytes]:
    """As it lies on the disk, and as whoever can read the format sees it."""
    content = path.read_bytes()
    yield content
    if content[:4] == b"PAR1":
        from pyarrow import parquet

        yield str(parquet.read_table(io.BytesIO(content)).to_pydict()).encode()
    elif content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    elif zipfile.is_zipfile(io.BytesIO(content)):  # weights, checkpoints, and files inside of files for phones
        with zipfile.ZipFile(io.BytesIO(content)) as inside:
            yield from (inside.read(name) for name in inside.namelist())
