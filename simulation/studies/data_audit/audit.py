"""The audit of a text: read once, without a copy in the cache, and told in numbers alone."""

import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from client_model.config import DataConfig
from client_model.text.formats.base import Message
from client_model.text.personal.kinds import REDACTED, Kind
from client_model.text.personal.scanner import Scanner
from client_model.text.population import read_text, text_source
from client_model.text.tokenising import Tokenised, user_digest
from client_model.text.vocabulary import tokenize
from simulation.studies.data_audit.duplicates import NearDuplicates, near_duplicates
from simulation.studies.data_audit.inequality import LoneWords, Spread, lone_words, spread
from simulation.studies.data_audit.languages import Languages, PhonesTexts

TOXIC_WORDS = "not looked for: no list of toxic words ships with a package that is well kept and permissively licensed"


@dataclass(frozen=True)
class Found:
    """Personal data of one kind; None where it was not looked for."""

    kind: Kind
    places: int | None
    messages: int | None  # with at least one
    phones: int | None
    why: str = ""  # it was not looked for


@dataclass(frozen=True)
class Redactable:
    """What --data.redact would change: of the kinds that it takes out, as far as they were looked for."""

    messages: int  # that drop would leave out, and mask would change
    message_share: float
    token_share: float  # of all tokens, in those messages
    phones: int


@dataclass(frozen=True)
class DataAudit:
    """What a text holds."""

    source: str
    regions: tuple[str, ...]  # whose national telephone numbers were looked for
    messages: int
    phones: int
    tokens: int
    distinct_tokens: int
    skipped_lines: int
    is_dated: bool  # the file says when each message was written
    personal: tuple[Found, ...]
    redactable: Redactable
    duplicates: NearDuplicates
    languages: Languages
    messages_a_phone: Spread
    tokens_a_phone: Spread
    lone_words: LoneWords
    toxic_words: int | None  # never looked for, see `toxic_words_why`
    toxic_words_why: str
    reading_s: float  # to read, scan and tokenise
    seconds_a_million_messages: float


@dataclass
class _Gathered:
    """What is counted while the file is read."""

    scanner: Scanner
    texts: PhonesTexts = field(default_factory=PhonesTexts)
    places: Counter[Kind] = field(default_factory=Counter)
    messages: Counter[Kind] = field(default_factory=Counter)
    phones: dict[Kind, set[int]] = field(default_factory=lambda: {kind: set() for kind in Kind})
    redactable: int = 0
    redactable_tokens: int = 0
    redactable_phones: set[int] = field(default_factory=set)

    def see(self, message: Message) -> None:
        """Scan another message."""
        self.texts.see(message)
        found = self.scanner.find(message.text)
        if not found:
            return
        digest = user_digest(message.user_id)
        self.places.update(one.kind for one in found)
        kinds = {one.kind for one in found}
        self.messages.update(kinds)
        for kind in kinds:
            self.phones[kind].add(digest)
        if not kinds.isdisjoint(REDACTED):
            self.redactable += 1
            self.redactable_tokens += len(tokenize(message.text))
            self.redactable_phones.add(digest)

    def found(self) -> tuple[Found, ...]:
        """By kind, those that were not looked for among them."""
        missing = self.scanner.missing
        return tuple(
            Found(kind, None, None, None, missing[kind])
            if kind in missing
            else Found(kind, self.places[kind], self.messages[kind], len(self.phones[kind]))
            for kind in Kind
        )


def audit_text(config: DataConfig) -> DataAudit:
    """Read a file of messages and say what is in it.

    Args:
        config: where the text comes from.

    Raises:
        InputError: it cannot be read, or a region has no telephone numbers.
    """
    gathered, began_s = _Gathered(Scanner(config.phone_regions)), time.perf_counter()
    text = read_text(config, gathered.see)
    reading_s, messages = time.perf_counter() - began_s, len(text.message_offsets) - 1
    return DataAudit(
        source=text_source(config),
        regions=config.phone_regions,
        messages=messages,
        phones=len(text.digests),
        tokens=len(text.types),
        distinct_tokens=len(text.lexicon),
        skipped_lines=text.skipped_lines,
        is_dated=text.times_s is not None,
        personal=gathered.found(),
        redactable=_redactable(gathered, text),
        duplicates=near_duplicates(text),
        languages=gathered.texts.languages(),
        messages_a_phone=spread(np.diff(text.first_message)),
        tokens_a_phone=spread(np.diff(text.message_offsets[text.first_message])),
        lone_words=lone_words(text),
        toxic_words=None,
        toxic_words_why=TOXIC_WORDS,
        reading_s=reading_s,
        seconds_a_million_messages=reading_s / messages * 1e6,
    )


def _redactable(gathered: _Gathered, text: Tokenised) -> Redactable:
    return Redactable(
        messages=gathered.redactable,
        message_share=gathered.redactable / (len(text.message_offsets) - 1),
        token_share=gathered.redactable_tokens / len(text.types),
        phones=len(gathered.redactable_phones),
    )
