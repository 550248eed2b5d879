"""How much of anything an input may have. Beyond it the input is refused, or the line if it is in one.

They are far above what people write, and low enough that no input takes the memory or the day of whoever reads it.
"""

from typing import NamedTuple

MIB = 2**20

LINE_BYTES = MIB
ROW_LINES = 1_000
FIELD_CHARACTERS = 131_072
COLUMNS = 10_000
TEXT_CHARACTERS = 100_000
WORD_CHARACTERS = 64
NUMBER_DIGITS = 4_300
JSON_LEVELS = 100
JSON_BYTES = 2_048 * MIB
FILES = 100_000
UNPACKED_BYTES = 256 * MIB
UNPACKED_TIMES = 100
SETTINGS_BYTES = MIB // 4
SETTINGS_LINE_CHARACTERS = 4_000
SETTINGS_LEVELS = 16
SETTING_CHARACTERS = 4_096
SETTING_MAGNITUDE = 10**15
SETTING_VALUES = 1_000
VOCABULARY_TOKENS = 100_000
SENTENCES = 10_000
SENTENCES_BYTES = MIB
STUDY_SETTINGS = 10_000
TRACE_BYTES = 2_048 * MIB
TRACE_YEARS = 8_000
RECORD_BYTES = 64 * MIB
LEDGER_BYTES = 4_096 * MIB
ARRAYS = 10_000
UNPACKED_ARRAYS_BYTES = 1_024 * MIB
MODEL_BYTES = 1_024 * MIB
INNER_FILES = 100
INNER_BYTES = 64 * MIB
KEY_BYTES = MIB // 16
COUNTED_PHONES = 10_000_000
REQUEST_BYTES = 64 * MIB
CONNECTIONS = 64
REQUEST_S = 20


class Limit(NamedTuple):
    """A line of the table of limits."""

    what: str
    most: int
    unit: str
    beyond: str


TABLE = (
    Limit("a line of JSON lines, a row of CSV", LINE_BYTES // MIB, "MiB", "the line is bad"),
    Limit("a row of CSV with line breaks in quotes", ROW_LINES, "lines", "its first line is bad"),
    Limit("a field of CSV", FIELD_CHARACTERS, "characters", "the row is bad"),
    Limit("the text of a message", TEXT_CHARACTERS, "characters", "the message is bad"),
    Limit("a word", WORD_CHARACTERS, "characters", "it is outside every vocabulary"),
    Limit("a whole number in JSON or TOML", NUMBER_DIGITS, "digits", "the line is bad, or the file"),
    Limit("JSON: lists and objects in each other", JSON_LEVELS, "levels", "the line is bad, or the file"),
    Limit("a file that is one JSON value (LEAF, FLASH, chats)", JSON_BYTES // MIB, "MiB", "refused"),
    Limit("columns of a table", COLUMNS, "", "refused"),
    Limit("files in a folder of messages", FILES, "", "refused"),
    Limit("content of a file of more than 256 MiB, unpacked", UNPACKED_TIMES, "times its size", "refused"),
    Limit("a vocabulary", VOCABULARY_TOKENS, "tokens", "refused"),
    Limit("a recorded trace", TRACE_BYTES // MIB, "MiB", "refused"),
    Limit("times of a trace", TRACE_YEARS, "years after its zero", "refused"),
    Limit("a TOML file (settings, a study)", SETTINGS_BYTES // 1024, "KiB", "refused"),
    Limit("a line of TOML", SETTINGS_LINE_CHARACTERS, "characters", "refused"),
    Limit("TOML: tables and lists in each other", SETTINGS_LEVELS, "levels", "refused"),
    Limit("a setting that is a text or a path", SETTING_CHARACTERS, "characters", "refused"),
    Limit("a setting that is a list", SETTING_VALUES, "values", "refused"),
    Limit("a setting that is a number", SETTING_MAGNITUDE, "either side of 0 (a seed: 2^63)", "refused"),
    Limit("JSON of a run's folder, and a line of its lines", RECORD_BYTES // MIB, "MiB", "refused"),
    Limit("a whole number in it", 64, "bits", "refused"),
    Limit("rounds.jsonl, privacy_ledger.jsonl", LEDGER_BYTES // MIB, "MiB", "refused"),
    Limit("arrays in a file of weights or a checkpoint", ARRAYS, "", "refused"),
    Limit("compressed arrays, unpacked together", UNPACKED_ARRAYS_BYTES // MIB, "MiB", "refused"),
    Limit("phones in held_out.parquet", COUNTED_PHONES, "", "refused"),
    Limit("a model file", MODEL_BYTES // MIB, "MiB", "refused"),
    Limit("files inside a model file", INNER_FILES, "", "refused"),
    Limit("files inside a model file, together", INNER_BYTES // MIB, "MiB", "refused"),
    Limit("a key, a signature", KEY_BYTES // 1024, "KiB", "refused"),
    Limit("a request to the keyboard page's server", REQUEST_BYTES // MIB, "MiB", "413"),
    Limit("a request to it, from its first byte to its last", REQUEST_S, "s", "the connection ends"),
    Limit("connections to it at a time", CONNECTIONS, "", "the longest idle one ends"),
    Limit("a file of sentences to type", SENTENCES_BYTES // MIB, "MiB", "refused"),
    Limit("sentences in it", SENTENCES, "", "refused"),
    Limit("settings that a study tries, trials, seeds", STUDY_SETTINGS, "", "refused"),
)


def table() -> str:
    """All limits as a table in Markdown, as docs/errors.md has it."""
    rows = [f"| {one.what} | {f'{one.most:,} {one.unit}'.strip()} | {one.beyond} |" for one in TABLE]
    return "\n".join(["| what | at most | beyond |", "|---|---|---|", *rows])
