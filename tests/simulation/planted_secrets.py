"""What single phones wrote and nobody else, planted in a file of messages and looked for in whatever came of it."""

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


def plant(path: Path) -> None:
    """Add them to the messages of users u0, u1, ..."""
    with path.open("a") as file:
        for phone in range(_PHONES):
            number, word, *sentence = SECRETS[5 * phone : 5 * phone + 5]
            for text in (f"my card is {number}", f"{word} {word}", " ".join(sentence)):
                file.writelines([json.dumps({"user_id": f"u{phone}", "text": text}) + "\n"] * 5)


def leaks(folder: Path) -> list[tuple[str, str]]:
    """(file, secret) of each that is in some file of a folder, compressed or not."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files
    return [
        (str(path.relative_to(folder)), secret)
        for path in files
        for secret in SECRETS
        if any(secret.encode() in content.lower() for content in _contents(path))
    ]


def _contents(path: Path) -> Iterator[bytes]:
    """As it lies on the disk, and as whoever can read the format sees it."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        from pyarrow import parquet

        yield str(parquet.read_table(io.BytesIO(content)).to_pydict()).encode()
    elif zipfile.is_zipfile(io.BytesIO(content)):  # weights, checkpoints, and files inside of files for phones
        with zipfile.ZipFile(io.BytesIO(content)) as inside:
            yield from (inside.read(name) for name in inside.namelist())
