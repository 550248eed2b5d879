"""The door for formats of message files. To add one: a module with a `KIND` like `jsonl`'s, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from client_model.text.formats.base import MessageFormat

AUTO = "auto"  # by the ending of the file
BUNDLED = "chitchat"  # what that is without a file
SYNTHETIC = "synthetic"  # no file at all

FORMATS: "Door[MessageFormat]" = Door(
    "message format",
    "typefleet.message_formats",
    {
        AUTO: "client_model.text.formats.by_ending:AUTO",
        SYNTHETIC: "client_model.text.formats.by_ending:SYNTHETIC",
        "jsonl": "client_model.text.formats.json_lines:KIND",
        "csv": "client_model.text.formats.csv_table:KIND",
        BUNDLED: "client_model.text.formats.chitchat:KIND",
        "parquet": "client_model.text.formats.parquet_table:KIND",
        "leaf": "client_model.text.formats.leaf:KIND",
        "tff-sqlite": "client_model.text.formats.tff_sqlite:KIND",
        "tff-hdf5": "client_model.text.formats.tff_hdf5:KIND",
        "huggingface": "client_model.text.formats.huggingface:KIND",
    },
    needs=("endings", "read"),
)
"""`make(settings)` gives the format."""
