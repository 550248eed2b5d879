"""The population: which phones there are and the tokens each holds.

A population is either synthetic (made on the fly) or a file, tokenised once into a cache folder
that every worker maps into memory. Tokens are kept as ids into a *lexicon* of all distinct tokens,
independent of any vocabulary; a vocabulary maps lexicon ids to model ids with one table.

A phone is known by its row and by a 64-bit digest of its user id. The digest decides the split into
training and held-out phones; salted again by the run, it is the label that logs show. The user ids
themselves are dropped while the file is read.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.config import DataConfig
from client_model.keyed_random import hash_uint64, purpose_key
from client_model.text.formats.base import BundledFormat, DataError, MessageFormat, read_messages
from client_model.text.formats.by_ending import kind_by_ending
from client_model.text.formats.door import FORMATS
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import tokenize
from typefleet.doors import chosen
from typefleet.errors import expected, unreadable, unwritable

DEFAULT_PHONES = 5000  # of the synthetic population
_CACHE_LAYOUT = 1  # raise when the tokeniser or the arrays change, so that old caches are not used


class Population(Protocol):
    """What the simulator asks of a population; all arrays are indexed by phone row."""

    @property
    def num_phones(self) -> int:
        """Phones, held-out ones included."""

    @property
    def lexicon(self) -> Sequence[str]:
        """Distinct tokens; a type id past its end is a word outside every vocabulary."""

    @property
    def unlisted_word_letters(self) -> int:
        """Letters of a word past the lexicon's end, on average; 0 where there are none."""

    @property
    def skipped_lines(self) -> int:
        """Bad lines that were left out."""

    def digests(self) -> NDArray[np.uint64]:
        """A digest of each phone's text: uint64 [num_phones]."""

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """Tokens of each message of a phone: int64 [messages]."""

    def types(
        self, phone: int, messages: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
        """Type ids of some (or all) messages: (ints [tokens], offsets int64 [messages + 1])."""

    def types_of_phones(
        self, phones: NDArray[np.int64]
    ) -> Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.int64]]]:
        """`types` of several whole phones."""


@dataclass(frozen=True)
class PopulationSpec:
    """Enough to open the same population in another process."""

    synthetic_seed: int
    num_phones: int
    cache_folder: str | None = None  # None: synthetic


class TokenisedFile:
    """A population read from the cache folder of one file."""

    def __init__(self, folder: Path, num_phones: int | None = None, seed: int = 0) -> None:
        def load(name: str) -> NDArray[Any]:
            # As a plain array: a memmap object costs microseconds at every slice.
            stored: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            return stored.view(np.ndarray)

        self._types, self._message_offsets = load("types"), load("message_offsets")
        self._first_message, self._digests = load("first_message"), load("digests")
        self._folder = folder
        self._lexicon: list[str] | None = None
        rows = np.arange(len(self._digests))
        if num_phones is not None and num_phones < len(rows):
            order = np.argsort(hash_uint64(purpose_key(seed, "fleet subset"), self._digests), kind="stable")
            rows = np.sort(order[:num_phones])
        self._rows = rows
        self.num_phones = len(rows)

    @property
    def lexicon(self) -> list[str]:
        """All types of the file in the order of their ids; read when first asked for."""
        if self._lexicon is None:
            self._lexicon = (self._folder / "lexicon.txt").read_text(encoding="utf-8").split("\n")
        return self._lexicon

    @property
    def unlisted_word_letters(self) -> int:
        """0: the lexicon has every word of the file."""
        return 0

    @property
    def skipped_lines(self) -> int:
        """Lines that were no messages when the file was tokenised."""
        return int(json.loads((self._folder / "about.json").read_text())["skipped_lines"])

    def digests(self) -> NDArray[np.uint64]:
        """uint64 [num_phones], of the user ids."""
        return np.asarray(self._digests[self._rows])

    def _message_range(self, phone: int) -> tuple[int, int]:
        row = self._rows[phone]
        return int(self._first_message[row]), int(self._first_message[row + 1])

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """int64 [messages], tokens of each, without reading any text."""
        first, last = self._message_range(phone)
        return np.diff(self._message_offsets[first : last + 1])

    def types(
        self, phone: int, messages: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(type ids [tokens], offsets [messages + 1]) of all messages of a phone, or of those asked for."""
        first, last = self._message_range(phone)
        bounds = np.asarray(self._message_offsets[first : last + 1])
        if messages is None:
            return np.asarray(self._types[bounds[0] : bounds[-1]], np.int64), bounds - bounds[0]
        begins = bounds[messages]
        offsets = np.concatenate([[0], np.cumsum(bounds[messages + 1] - begins)]).astype(np.int64)
        place = np.repeat(begins - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
        return self._types[place].astype(np.int64), offsets

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """What `types` gives, for each of several phones."""
        return [self.types(int(phone)) for phone in phones]


def open_population(spec: PopulationSpec) -> Population:
    """Open a population from its description; used by every worker."""
    if spec.cache_folder is None:
        return SyntheticPopulation(spec.synthetic_seed, spec.num_phones)
    return TokenisedFile(Path(spec.cache_folder), spec.num_phones, spec.synthetic_seed)


def prepare_population(
    config: DataConfig, seed: int, fleet_size: int | None, message_format: MessageFormat | None = None
) -> PopulationSpec:
    """Tokenise the file if need be, and settle how many phones there are.

    Args:
        config: where the text comes from.
        seed: of the synthetic population, or of the phones chosen from the file.
        fleet_size: phones; None for as many as there are.
        message_format: reads the file, in the place of the one that `config.format` names.

    Raises:
        DataError: a file that is missing, empty or has a bad line, or a fleet larger than its phones.
    """
    if config.is_synthetic:
        if message_format is not None:
            raise DataError(expected("--data.path", "a file for the format that is handed in", "none"))
        return PopulationSpec(seed, DEFAULT_PHONES if fleet_size is None else fleet_size)
    if config.format == "synthetic":
        raise DataError(expected("--data.format", "a format of files with --data.path", config.format))
    path = config.path or _bundled_file(config, message_format)
    folder = _tokenised_folder(config, path, *_format_of(config, path, message_format))
    phones = TokenisedFile(folder).num_phones
    if fleet_size is not None and fleet_size > phones:
        raise DataError(expected("--fleet.size", f"at most the {phones} phones of {path}", fleet_size))
    return PopulationSpec(seed, phones if fleet_size is None else fleet_size, str(folder))


def text_source(config: DataConfig) -> str:
    """Whose text it is, without the folder that a file lies in."""
    if config.is_synthetic:
        return "synthetic English"
    return f"the messages in {config.path.name}" if config.path else FORMATS.kind(config.format).description


def _bundled_file(config: DataConfig, handed_in: MessageFormat | None) -> Path:
    kind, settings = chosen(config, "format")
    message_format: MessageFormat = handed_in or kind.make(settings)
    if not isinstance(message_format, BundledFormat):
        raise DataError(expected("--data.path", f"a file for the format {kind.name}", "none"))
    return message_format.bundled()


def split_phones(
    digests: NDArray[np.uint64], seed: int, held_out_share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(training, held-out) phone rows, both sorted; at least one phone on each side.

    The phones with the smallest seeded hashes are held out, so the order of the file is irrelevant.
    """
    if len(digests) < 2:
        raise DataError(expected("the fleet", "at least 2 phones (one to train, one held out)", len(digests)))
    held_out = min(max(round(held_out_share * len(digests)), 1), len(digests) - 1)
    order = np.argsort(hash_uint64(purpose_key(seed, "held out"), digests), kind="stable")
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def phone_labels(salt: str, digests: NDArray[np.uint64]) -> list[str]:
    """Labels for logs: 16 hexadecimal digits, keyed by the run's salt."""
    return [
        hashlib.blake2b(int(d).to_bytes(8, "little"), digest_size=8, key=salt.encode()).hexdigest() for d in digests
    ]


def type_counts(population: Population, phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each lexicon entry occurs on these phones: int64 [len(lexicon)]."""
    size = len(population.lexicon)
    counts = np.zeros(size + 1, np.int64)
    for flat, _ in population.types_of_phones(phones):
        counts += np.bincount(np.minimum(flat, size), minlength=size + 1)
    return counts[:size]


def _format_of(config: DataConfig, path: Path, handed_in: MessageFormat | None) -> tuple[MessageFormat, str | None]:
    """(what reads the file, its name); no name for a format from outside, whose code may change under it."""
    kind, settings = chosen(config, "format")
    if kind.name == "auto" and handed_in is None:
        kind = kind_by_ending(path)
        settings = kind.settings()
    message_format: MessageFormat = handed_in or FORMATS.made(kind, settings)
    ours = type(message_format).__module__.startswith(f"{__name__.split('.')[0]}.")
    return message_format, kind.name if ours else None


def _tokenised_folder(config: DataConfig, path: Path, message_format: MessageFormat, name: str | None) -> Path:
    """The cache folder of a file, filled if it was not; named by what its content depends on.

    Args:
        config: what to do with bad lines, and where the folder is.
        path: the file.
        message_format: reads it.
        name: of the format; without one the file is read anew every time, and the folder named by what was read.
    """
    root = config.cache_dir or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "typefleet"
    if name is None:
        tokenised = _tokenise(path, message_format, config.on_bad_line)
        folder = root / f"{tokenised.digest()}-{_CACHE_LAYOUT}"
        if not folder.exists():
            _write_cache(folder, tokenised)
        return folder
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise DataError(unreadable(path, error, "a file of messages")) from error
    folder = root / f"{digest}-{name}-{config.on_bad_line}-{_CACHE_LAYOUT}"
    if not folder.exists():
        _write_cache(folder, _tokenise(path, message_format, config.on_bad_line))
    return folder


@dataclass
class _Tokenised:
    types: NDArray[np.int32]
    message_offsets: NDArray[np.int64]
    first_message: NDArray[np.int64]
    digests: NDArray[np.uint64]
    lexicon: list[str]
    skipped_lines: int

    def digest(self) -> str:
        """32 hexadecimal digits of all of it."""
        found = hashlib.sha256(json.dumps([self.lexicon, self.skipped_lines]).encode())
        for array in (self.types, self.message_offsets, self.first_message, self.digests):
            found.update(array.tobytes())
        return found.hexdigest()[:32]


def _tokenise(path: Path, message_format: MessageFormat, on_bad_line: str) -> _Tokenised:
    by_phone: dict[bytes, list[list[int]]] = {}
    lexicon: dict[str, int] = {}
    skipped = 0
    for message in read_messages(path, message_format):
        if isinstance(message, DataError):
            if on_bad_line == "error":
                raise message
            skipped += 1
            continue
        tokens = [lexicon.setdefault(t, len(lexicon)) for t in tokenize(message.text)]
        if tokens:
            digest = hashlib.blake2b(message.user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            by_phone.setdefault(digest, []).append(tokens)
    if not by_phone:
        raise DataError(expected(path, "messages", "none with any word"))
    phones = sorted(by_phone)  # the order of the file does not matter
    messages = [m for phone in phones for m in by_phone[phone]]
    return _Tokenised(
        types=np.array([t for m in messages for t in m], np.int32),
        message_offsets=np.concatenate([[0], np.cumsum([len(m) for m in messages])]).astype(np.int64),
        first_message=np.concatenate([[0], np.cumsum([len(by_phone[p]) for p in phones])]).astype(np.int64),
        digests=np.array([int.from_bytes(p, "little") for p in phones], np.uint64),
        lexicon=list(lexicon),
        skipped_lines=skipped,
    )


def _write_cache(folder: Path, tokenised: _Tokenised) -> None:
    """Write beside, then rename: another process sees the whole folder or none."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
    except OSError as error:
        raise DataError(f"{unwritable(folder.parent, error)}; set --data.cache-dir") from error
    try:
        for name in ("types", "message_offsets", "first_message", "digests"):
            np.save(draft / f"{name}.npy", getattr(tokenised, name))
        (draft / "lexicon.txt").write_text("\n".join(tokenised.lexicon), encoding="utf-8")
        (draft / "about.json").write_text(json.dumps({"skipped_lines": tokenised.skipped_lines}))
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
