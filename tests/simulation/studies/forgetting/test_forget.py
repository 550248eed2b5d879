"""Whom somebody names, and what is said afterwards."""

import io
from dataclasses import fields
from pathlib import Path

import pytest

from simulation.studies.forgetting.forecast import Forecast, print_after
from simulation.studies.forgetting.forget import names_given
from typefleet.errors import ConfigError


def test_a_name_that_no_file_can_have_is_a_name():
    long = "n" * 300
    assert names_given([long]) == [(long, "--phones")]
    assert names_given(["a\0b"]) == [("a\0b", "--phones")]


def test_of_several_names_each_has_its_place():
    assert names_given(["anna", "bob,carl"]) == [
        (n, f"--phones, name {i}") for i, n in enumerate(("anna", "bob", "carl"), 1)
    ]


def test_a_file_has_a_name_a_line_with_or_without_a_mark_of_its_byte_order(tmp_path):
    path = tmp_path / "names.txt"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + b"anna\r\n\nb, o\n")
        assert names_given([str(path)]) == [("anna", f"--phones: {path}:1"), ("b, o", f"--phones: {path}:3")]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_a_file_of_nobody_is_one_line(tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"--phones.*: expected "):
        names_given([str(tmp_path / "names.txt")])


@pytest.mark.parametrize(
    ("phones", "gone", "said"),
    [
        (1, 1, ["1 phone; run never lets it in again", "1 model that was released since it came"]),
        (2, 3, ["2 phones; run never lets them in again", "3 models that were released since they came"]),
    ],
)
def test_one_phone_is_one(phones, gone, said):
    values = {one.name: None for one in fields(Forecast)} | {"phones": phones, "done": 5, "kept": 5 - gone, "rounds": 6}
    out = io.StringIO()
    print_after(out, Path("run"), Forecast(**values), None)
    assert all(one in " ".join(out.getvalue().split()) for one in said), out.getvalue()
