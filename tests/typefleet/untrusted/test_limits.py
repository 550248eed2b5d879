"""The limits are those that the documentation states."""

import re

from tests.conftest import ROOT
from typefleet.untrusted import limits

NUMBERS = {name: value for name, value in vars(limits).items() if isinstance(value, int) and name != "MIB"}


def test_the_documentation_has_the_table_of_the_code():
    assert limits.table() in (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def test_every_limit_has_a_line_in_the_table():
    source = (ROOT / "typefleet" / "untrusted" / "limits.py").read_text(encoding="utf-8")
    table = source.partition("TABLE = (")[2].partition("\n)\n")[0]
    missing = [name for name in NUMBERS if not re.search(rf"\b{name}\b", table)]
    assert missing == ["UNPACKED_BYTES"] and "more than 256 MiB" in table and limits.UNPACKED_BYTES == 256 * limits.MIB


def test_every_limit_is_held_somewhere():
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("typefleet", "client_model", "simulation")
        for path in (ROOT / package).glob("**/*.py")
        if path.name != "limits.py"
    )
    assert [name for name in NUMBERS if not re.search(rf"\b{name}\b", sources)] == ["FIELD_CHARACTERS"]


def test_the_csv_module_has_the_limit_of_fields():
    import csv

    assert csv.field_size_limit() == limits.FIELD_CHARACTERS
