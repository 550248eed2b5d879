"""Files of messages, of every format."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.population import open_population, prepare_population
from client_model.text.tokenised_file import TokenisedFile
from tests.fuzz.cases import MARKER, Case, Parser

ROWS = [(f"user {MARKER} {n % 7}", f"Hello {MARKER}, see you at {n}!") for n in range(60)]


class Read(NamedTuple):
    """What became of a file."""

    phones: int
    messages: int
    skipped: int
    words: frozenset[str]


def read(path: Path, on_bad_line: str, file_format: str = "auto") -> Read:
    """As a run reads it, cache and all."""
    config = DataConfig(path=path, format=file_format, on_bad_line=on_bad_line, cache_dir=path.parent / "cache")
    people = open_population(prepare_population(config, 0, None))
    assert isinstance(people, TokenisedFile)
    messages = sum(len(people.message_lengths(phone)) for phone in range(people.num_phones))
    return Read(people.num_phones, messages, people.skipped_lines, frozenset(people.lexicon))


def door(file: str, file_format: str = "auto") -> Callable[[Path], Read]:
    """Reads the file both ways; gives what is left without bad lines, unless there is none."""

    def reads(folder: Path) -> Read:
        left = read(folder / file, "skip", file_format)
        if not left.skipped:
            assert read(folder / file, "error", file_format) == left
            return left
        try:
            read(folder / file, "error", file_format)
        except DataError:
            return left
        raise AssertionError("bad lines that are no error")

    return reads


def as_json(rows: list[tuple[object, object]]) -> str:
    return "".join(json.dumps({"user_id": user, "text": text}) + "\n" for user, text in rows)


JSONL = Parser("jsonl", lambda folder: (folder / "m.jsonl").write_text(as_json(ROWS)), "m.jsonl", door("m.jsonl"))
PIPES = {"a pipe that nobody writes to", "a device without end"}
JSONL = replace(JSONL, without=frozenset(PIPES))

PARSERS = (JSONL,)


def of(parser: Parser, name: str, text: str | bytes, **expectation) -> Case:
    """A case that is a file of this content."""
    data = text.encode() if isinstance(text, str) else text
    return Case(parser, name, lambda folder: (folder / parser.file).write_bytes(data), **expectation)


CASES = (of(JSONL, "as it was", as_json(ROWS), refused=None, accepted=lambda found: found[:3] == (7, 60, 0)),)
