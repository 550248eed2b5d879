"""JSON, TOML and files from outside: what is read, and in which words it is refused."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typefleet.errors import ConfigError, InputError
from typefleet.untrusted.json_values import json_value, levels, read_json_object
from typefleet.untrusted.opening import read_bytes, require_few, require_file
from typefleet.untrusted.toml_tables import read_toml

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@settings(max_examples=50)
@given(json_like)
def test_json_is_read_as_it_was_written(value):
    assert json_value(json.dumps(value).encode(), "x", "JSON", InputError) == value


@pytest.mark.parametrize("deep", [1, 99, 100, 101, 400])
def test_lists_lie_in_each_other_a_hundred_times_at_most(deep):
    raw = b"[" * deep + b"]" * deep
    assert levels(json.loads(raw), 1000) == deep
    if deep <= 100:
        json_value(raw, "x", "JSON", InputError)
    else:
        with pytest.raises(InputError, match=r"^x: expected JSON, found invalid JSON \(nested too deeply\)$"):
            json_value(raw, "x", "JSON", InputError)


def test_many_lists_beside_each_other_are_fine():
    assert len(json_value(json.dumps([[]] * 5000).encode(), "x", "JSON", InputError)) == 5000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1', "f:1: expected a manifest, found invalid JSON (Expecting ',' delimiter)"),
        (b'\n\n{"secret', "f:3: expected a manifest, found invalid JSON (Unterminated string starting at)"),
        (b'"\xff"', "f: expected UTF-8, found byte 0xff"),
        (b"[1]", "f: expected a manifest, found a JSON list"),
        (b" " * 200, "f: expected a manifest of at most 100 bytes, found a longer one"),
    ],
)
def test_a_file_that_is_no_object_is_refused_with_its_line(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    path = (tmp_path / "f").relative_to(tmp_path)
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_json_object(path, "a manifest", ConfigError, most=100)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[a]\n[a]\n", ":2: expected TOML, found a fault: Cannot declare twice"),
        ("x = {secret = 1, secret = 2}", ":1: expected TOML, found a fault: Duplicate inline table key"),
        ("a b", ":1: expected TOML, found a fault: Expected '=' after a key in a key/value pair"),
        ('a = "secret', ": expected TOML, found a fault: Unterminated string"),
        ("a = 2020-13-01", ": expected TOML, found a fault: "),
        ("a = " + "9" * 3999, ":1: expected a line of at most 4,000 characters, found a longer one"),
    ],
)
def test_a_fault_of_toml_is_said_without_what_stands_there(tmp_path, content, said):
    path = tmp_path / "run.toml"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        read_toml(path, "settings", ConfigError)
    assert said in str(error.value) and "secret" not in str(error.value)


def test_only_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, found in ((tmp_path, "a folder"), (tmp_path / "pipe", "a pipe"), (tmp_path / "none", "no such file")):
        with pytest.raises(ConfigError, match=f"expected a list, found {found}"):
            read_bytes(path, "a list", ConfigError, 10)
    with pytest.raises(InputError, match="found a device"):
        require_file(type(tmp_path)("/dev/zero"))
    with pytest.raises(InputError, match="expected a file that can be read, found embedded null byte"):
        require_file(tmp_path / "a\0b")


def test_a_folder_has_so_many_files_at_most(tmp_path):
    require_few(tmp_path, [tmp_path] * 3, 3, ConfigError)
    with pytest.raises(ConfigError, match="expected a folder of at most 3 files, found 4"):
        require_few(tmp_path, [tmp_path] * 4, 3, ConfigError)
