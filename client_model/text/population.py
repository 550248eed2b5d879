"""The population: which phones there are and the tokens each holds.

A population is either a file (`tokenised_file`) and, where the fleet is larger, further phones with text drawn from
its people (`further_phones`); or synthetic, made on the fly. Tokens are kept as ids into a *lexicon* of all distinct
tokens, independent of any vocabulary; a vocabulary maps lexicon ids to model ids with one table.

A phone is known by its row and by a 64-bit digest of its user id. The digest decides the split into training and
held-out phones; salted again by the run, it is the label that logs show.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.config import DataConfig
from client_model.keyed_random import hash_uint64, purpose_key
from client_model.text.formats.base import BundledFormat, DataError, Message, MessageFormat
from client_model.text.formats.door import FORMATS
from client_model.text.further_phones import FurtherPhones
from client_model.text.kept_text import NO_LIMITS, KeptText, Limits
from client_model.text.purpose import check_purpose, require_purpose
from client_model.text.source_format import format_of
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.tokenised_file import TokenisedFile, tokenised_folder
from client_model.text.tokenising import Tokenised, tokenise
from typefleet.doors import chosen
from typefleet.errors import expected
from typefleet.sealed.envelope import data_key_of
from typefleet.sealed.storage_key import require_key

DEFAULT_PHONES = 5000  # of the synthetic population


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


class OnAnother:
    """What a population that stands on another one leaves as it is."""

    inner: Population

    @property
    def num_phones(self) -> int:
        """Phones, held-out ones included."""
        return self.inner.num_phones

    @property
    def unlisted_word_letters(self) -> int:
        """Letters of a word past the lexicon's end, on average; 0 where there are none."""
        return self.inner.unlisted_word_letters

    @property
    def skipped_lines(self) -> int:
        """Bad lines that were left out."""
        return self.inner.skipped_lines

    def digests(self) -> NDArray[np.uint64]:
        """A digest of each phone's text, as the other one has it: uint64 [num_phones]."""
        return self.inner.digests()


@dataclass(frozen=True)
class PeopleSplit:
    """Who trains and who is measured, of the people whose text there is."""

    seed: int
    held_out_share: float
    validation: bool = False
    """Measured are validation people, the same share of those not held out; those held out do nothing."""

    def of(self, digests: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(rows that train, rows that are measured): int64 each, sorted."""
        training, held_out = split_phones(digests, self.seed, self.held_out_share)
        if not self.validation:
            return training, held_out
        trains, validates = split_phones(digests[training], self.seed, self.held_out_share)
        return training[trains], training[validates]


@dataclass(frozen=True)
class PopulationSpec:
    """Enough to open the same population in another process."""

    synthetic_seed: int
    num_phones: int
    cache_folder: str | None = None  # None: synthetic
    further: int = 0  # the last so many phones hold text drawn from people who train
    split: PeopleSplit | None = None  # says who those are
    limits: Limits = NO_LIMITS  # of what phones that train keep; all phones, without a split

    @property
    def num_people(self) -> int:
        """Phones with text of their own."""
        return self.num_phones - self.further

    @property
    def num_named(self) -> int:
        """Phones with a user id in the text, which are the first ones; nobody has one in synthetic text."""
        return 0 if self.cache_folder is None else self.num_people

    @staticmethod
    def from_json(fields: dict[str, Any]) -> "PopulationSpec":
        """Inverse of `dataclasses.asdict`."""
        split, limits = fields["split"], Limits(**fields["limits"])
        return PopulationSpec(**{**fields, "split": None if split is None else PeopleSplit(**split), "limits": limits})


def open_population(spec: PopulationSpec, text_key: bytes = b"") -> Population:
    """Open a population from its description, with what its phones keep on the first day; used by every worker.

    Args:
        spec: of it.
        text_key: of its text, where that is encrypted, for who was told; else it is asked of the storage key.

    Raises:
        ConfigError: the text is encrypted, and its key is gone or another.
    """
    written = _all_text(spec, text_key)
    if spec.limits.are_none:
        return written
    limited = np.ones(spec.num_phones, bool)
    if spec.split is not None:
        training, _ = spec.split.of(written.digests()[: spec.num_people])
        limited[: spec.num_people] = False
        limited[training] = True
    return KeptText(written, spec.limits, limited)


def _all_text(spec: PopulationSpec, text_key: bytes) -> Population:
    """The population as its phones wrote."""
    if spec.cache_folder is None:
        return SyntheticPopulation(spec.synthetic_seed, spec.num_phones)
    file = TokenisedFile(Path(spec.cache_folder), spec.num_people, spec.synthetic_seed, text_key=text_key)
    if not spec.further or spec.split is None:
        return file
    training, _ = spec.split.of(file.digests())
    return FurtherPhones(file, training, spec.further, spec.synthetic_seed)


def text_key_of(spec: PopulationSpec) -> bytes:
    """The key of a population's text, for `open_population` in another process; empty: it is not encrypted.

    Raises:
        ConfigError: the storage key is missing or another.
    """
    return b"" if spec.cache_folder is None else data_key_of(Path(spec.cache_folder)) or b""


@lru_cache(maxsize=4)
def most_phones_of_a_person(spec: PopulationSpec) -> int:
    """How many phones hold messages of the same person, at most."""
    population = _all_text(spec, b"") if spec.further else None  # else it is known without opening it
    return population.most_phones_of_a_person if isinstance(population, FurtherPhones) else 1


def phones_with_text_of(spec: PopulationSpec, phones: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some phones, and those that hold messages drawn from theirs: int64, sorted."""
    population = _all_text(spec, b"") if spec.further else None
    return population.with_text_of(phones) if isinstance(population, FurtherPhones) else phones


def prepare_population(
    config: DataConfig,
    seed: int,
    fleet_size: int | None,
    message_format: MessageFormat | None = None,
    split: PeopleSplit | None = None,
    *,
    start_s: float = 0.0,
    storage_key: str | None = None,
) -> PopulationSpec:
    """Tokenise the file if need be, and settle how many phones there are.

    Args:
        config: where the text comes from.
        seed: of the synthetic population, of the phones chosen from the file, or of the text of further ones.
        fleet_size: phones; None for as many as there are.
        message_format: reads the file, in the place of the one that `config.format` names.
        split: who trains; with it, a fleet may have more phones than the file.
        start_s: of the first simulated day, in seconds since 1970: from when the age of messages counts.
        storage_key: place of the key that the tokenised file is encrypted with; None: it is not.

    Raises:
        DataError: a file that is missing, empty or has a bad line, or a fleet larger than its phones.
    """
    if config.is_synthetic:
        if message_format is not None:
            raise DataError(expected("--data.path", "a file for the format that is handed in", "none"))
        if config.path is not None:
            raise DataError(expected("--data.format", "a format of files with --data.path", config.format))
        check_purpose(config.purpose)
        size = DEFAULT_PHONES if fleet_size is None else fleet_size
        return _limited(PopulationSpec(seed, size), config, start_s, split, is_dated=False)
    path, folder = tokenised_text(config, message_format, storage_key)
    phones, spec = (
        (file := TokenisedFile(folder)).num_phones,
        PopulationSpec(seed, fleet_size or file.num_phones, str(folder)),
    )
    if fleet_size is not None and fleet_size > phones:
        if split is None:
            raise DataError(expected("--fleet.size", f"at most the {phones} phones of {path}", fleet_size))
        spec = replace(spec, further=fleet_size - phones, split=split)
    return _limited(spec, config, start_s, split, is_dated=file.is_dated)


def _limited(
    spec: PopulationSpec, config: DataConfig, start_s: float, split: PeopleSplit | None, *, is_dated: bool
) -> PopulationSpec:
    limits = Limits(config.keep_messages, config.keep_tokens, config.keep_days, start_s)
    if limits.are_none:
        return spec
    if limits.days is not None and not is_dated:
        found = "none; name their column with --data.time-column"
        raise DataError(expected("--data.keep-days", "messages with dates", found))
    return replace(spec, limits=limits, split=split)


def tokenised_text(
    config: DataConfig, message_format: MessageFormat | None = None, storage_key: str | None = None
) -> tuple[Path, Path]:
    """(the file, the cache folder of what is in it), which is tokenised if it was not; see `prepare_population`.

    Raises:
        DataError: a file that is missing, empty or has a bad line.
    """
    if storage_key is not None:
        require_key(storage_key)  # before the text is read for it
    config = replace(config, format=config.format_name)
    path = config.path or _bundled_file(config, message_format)
    require_purpose(path, config.purpose)
    return path, tokenised_folder(config, path, *format_of(config, path, message_format), storage_key)


def read_text(
    config: DataConfig, seen: Callable[[Message], None], message_format: MessageFormat | None = None
) -> Tokenised:
    """A file's messages as numbers, without a copy in the cache and as they were written, whatever is to be redacted.

    Args:
        config: where the text comes from.
        seen: is shown each message.
        message_format: reads the file, in the place of the one that `config.format` names.

    Raises:
        DataError: there is no file, it cannot be read, or it is marked for other purposes than this.
    """
    if config.is_synthetic:
        raise DataError(expected("--data.format", "a format of files, whose text can be looked at", config.format))
    config = replace(config, format=config.format_name)
    path = config.path or _bundled_file(config, message_format)
    require_purpose(path, config.purpose)
    reads, _ = format_of(config, path, message_format)
    return tokenise(path, reads, config.on_bad_line, seen=seen)


def text_source(config: DataConfig) -> str:
    """Whose text it is, without the folder that a file lies in."""
    if config.is_synthetic:
        return "synthetic English"
    return f"the messages in {config.path.name}" if config.path else FORMATS.kind(config.format_name).description


def _bundled_file(config: DataConfig, handed_in: MessageFormat | None) -> Path:
    kind, settings = chosen(config, "format")
    message_format: MessageFormat = handed_in or kind.make(settings)
    if not isinstance(message_format, BundledFormat):
        what = f"format {kind.name}" if handed_in is None else "format that is handed in"
        raise DataError(expected("--data.path", f"a file for the {what}", "none"))
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
