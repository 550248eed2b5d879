"""Values of a run's JSON changed about: a report, a comparison and a check of it stay whole, or refuse it in one line.

By default some changes, the same each time; with TYPEFLEET_FUZZ_EXAMPLES=2000 so many, others each time.
"""

import io
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz import run_cases
from tests.fuzz.cases import MARKER
from typefleet.errors import InputError

LONGER = os.environ.get("TYPEFLEET_FUZZ_EXAMPLES")
FILES = ("summary.json", "privacy.json", "participation.json", "central.json", "rounds.jsonl")
ODD = st.sampled_from(
    [
        *(None, True, -1, 0, 2**63, 10**400, 1e308, -1e308, 1e-320, 0.5, math.nan, math.inf, "", "\x1b[2J", "9" * 5000),
        *([], {}, [None], [1.5, "x"], {"a": None}, {"epsilon": "x"}, [[[]]], "<script>alert(1)</script>"),
    ]
)
DOORS = (run_cases.check, run_cases.compare, run_cases.report)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    run_cases.write_run(folder)
    return folder


def places(value, path=()):
    """Every place in some JSON."""
    yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))


def put(value, path, new):
    if not path:
        return new
    value[path[0]] = put(value[path[0]], path[1:], new)
    return value


def change(folder, file, place, new):
    """Another value at a place of a file, which is given as a share of all places."""
    path = folder / file
    lines = [json.loads(line) for line in path.read_text().splitlines()] if file.endswith("l") else None
    content = json.loads(path.read_text()) if lines is None else lines
    every = list(places(content))
    content = put(content, every[int(place * len(every))], new)
    lines = content if file.endswith("l") and isinstance(content, list) else None
    path.write_text(json.dumps(content) if lines is None else "".join(json.dumps(line) + "\n" for line in lines))


def require_handled(folder):
    """Every door takes the run, or says in one line why not."""
    for door in DOORS:
        try:
            door(folder)
        except InputError as error:
            said = str(error)
            assert ": expected " in said and said.isprintable() and MARKER not in said and len(said) < 700, said


changes = st.lists(st.tuples(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), ODD), min_size=1, max_size=3)


@settings(
    max_examples=int(LONGER or 10),
    derandomize=LONGER is None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(changes=changes)
@example(changes=[])
def test_no_value_breaks_a_report_a_comparison_or_a_check(whole, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(whole, Path(name) / "run"))
        for file, place, new in changes:
            change(folder, file, place, new)
        require_handled(folder)


REPORTED = ("privacy.json", "participation.json", "central.json", "held_out.parquet", run_cases.CHECKPOINT.file)


@pytest.mark.parametrize("name", REPORTED)
@pytest.mark.parametrize("content", [None, b"\xff\x00{["], ids=["missing", "garbage"])
def test_what_is_missing_or_damaged_costs_its_part_of_a_report_only(whole, tmp_path, name, content):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert "How good the suggestions are" in run_cases.report(folder)


def test_what_files_say_is_not_obeyed_by_a_terminal_nor_by_a_browser(whole, tmp_path):
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    evil = "\x1b[2J[bold]\u202e<script>alert(1)</script>"
    for file, names in (("summary.json", ("epsilon_is_of", "stopped_early")), ("privacy.json", ("mechanism", "unit"))):
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | dict.fromkeys(names, evil)))
    run_cases.compare(folder)  # holds what is printed to what may be
    assert "<script>" not in run_cases.report(folder)


def test_a_console_shows_a_text_as_it_is(tmp_path):
    from simulation.tables import console_for, print_facts, print_table

    printed = io.StringIO()
    console = console_for(printed)
    console.print("a [red]path[/red] :smile: \x1b[31m")
    print_table(console, ["one", "two\nlines"], [["\x1b[2J[/]", "\u202e"]])
    print_facts(console, [("[b]name", ["\x1b[1A"])])
    said = printed.getvalue()
    assert "a [red]path[/red] :smile: \\x1b[31m" in said and "\\x1b[2J[/]" in said and "\\u202e" in said
    assert said.replace("\n", "").isprintable() and "[b]name" in said
