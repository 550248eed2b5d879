import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from typefleet.errors import ConfigError
from typefleet.untrusted.limits import JSON_LEVELS, RECORD_BYTES
from typefleet.untrusted.own_json import parse_json, read_json_object, read_lines

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_we_write_is_read_as_it_was(value):
    found = parse_json(json.dumps(value).encode(), "x", "a value")
    assert found == value and json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"NaN", "NaN, which JSON does not have"),
        (b"[-Infinity]", "-Infinity, which JSON does not have"),
        (b"1e999", "a number that is too large"),
        (b"1" * 500 + b".0", "a number that is too large"),
        (str(2**64).encode(), "an integer of more than 64 bits"),
        (str(-(2**63) - 1).encode(), "an integer of more than 64 bits"),
        (b"9" * 5000, "an integer of more than 64 bits"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "a key twice in one object"),
        (b"[" * (JSON_LEVELS + 1) + b"]" * (JSON_LEVELS + 1), "more than 100 levels"),
        (b"[" * 100_000, "more than 100 levels"),
        (b"\xff", "bytes that are not UTF-8"),
        (b"", "invalid JSON .*"),
        (b"{'a': 1}", "invalid JSON .*"),
    ],
)
def test_what_nobody_of_us_writes_is_refused(text, found):
    with pytest.raises(ConfigError, match=rf"^x: expected a value, found {found}$"):
        parse_json(text, "x", "a value")


def test_the_deepest_that_is_read():
    deep = b"[" * JSON_LEVELS + b"]" * JSON_LEVELS
    assert parse_json(deep, "x", "a value") is not None


def test_a_fault_in_a_file_is_said_with_its_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{\n"a": 1\n"b": 2}')
    with pytest.raises(ConfigError, match=r"a\.json:3: expected a value, found invalid JSON \("):
        read_json_object(path, "a value")
    path.write_text('{"a": 1}')
    assert read_json_object(path, "a value", ("a",)) == {"a": 1}
    with pytest.raises(ConfigError, match=r"a\.json: expected a value, found no 'b' in it$"):
        read_json_object(path, "a value", ("a", "b"))


def test_lines_end_where_a_line_feed_is_and_nowhere_else(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a\rb\x0bc\n\n\xe2\x80\xa8d")
    assert list(read_lines(path, "lines")) == [(1, b"a\rb\x0bc", True), (2, b"", True), (3, b"\xe2\x80\xa8d", False)]
    path.write_bytes(b"")
    assert list(read_lines(path, "lines")) == []


def test_a_line_without_end_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "lines"
    with path.open("wb") as file:
        file.write(b"whole\n")
        file.truncate(10 * RECORD_BYTES)  # takes no room on the disk
    lines = read_lines(path, "lines")
    assert next(lines).content == b"whole"
    with pytest.raises(ConfigError, match=r"lines:2: expected lines, in lines of at most .* found a longer one$"):
        next(lines)


def test_no_number_is_lost():
    assert parse_json(b"[1e-400, 0.1, 1E5, -0.0]", "x", "a value") == [0.0, 0.1, 1e5, -0.0]
    assert math.copysign(1, parse_json(b"-0.0", "x", "a value")) == -1
