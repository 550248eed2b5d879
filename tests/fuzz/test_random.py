"""Random changes of a valid file of every kind break no parser.

By default some, the same each time; with TYPEFLEET_FUZZ_EXAMPLES=2000 so many of each kind, others each time.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.cases import LONGER, Case, parsers, problem

ODD = [
    b"\0",
    b"\xff",
    b'"',
    b"'",
    b",",
    b"\n",
    b"\r",
    b"[",
    b"{",
    b"\\",
    b"-",
    b"1e999",
    b"NaN",
    b"null",
    b"\xed\xa0\x80",
]

places = st.floats(0, 1, exclude_max=True)
pieces = st.sampled_from(ODD) | st.binary(max_size=12)
edits = st.lists(st.tuples(places, st.integers(0, 12), pieces, st.integers(1, 3)), min_size=1, max_size=6)


def edited(data, changes):
    """The bytes with some cut out and others put in, at places that are shares of the whole."""
    for place, cut, piece, times in changes:
        at = int(place * len(data))
        data = data[:at] + piece * times + data[at + cut :]
    return data


def changed(parser, changes):
    """A change of the valid file in a folder."""

    def make(folder: Path) -> None:
        path = folder / parser.file
        path.write_bytes(edited(path.read_bytes(), changes))

    return make


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.kind)
def test_no_change_breaks_a_parser(parser, tmp_path):
    @settings(
        max_examples=LONGER or 15,
        derandomize=not LONGER,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes=edits)
    def holds(changes):
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            said = problem(Case(parser, "random", changed(parser, changes), either=True), Path(folder))
            assert said is None, said

    holds()
