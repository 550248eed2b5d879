"""A log whose lines hang together: what was done to it is seen, whoever wrote and whoever was killed meanwhile."""

import json
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.waiting import PATIENCE_S
from typefleet.chained_log import Chain, ChainedLog, chained
from typefleet.errors import ConfigError

LOG = ChainedLog("log.jsonl", "a log of numbers", lambda says: says.keys() == {"value"})
WRITER = """
import sys
from pathlib import Path
from typefleet.chained_log import ChainedLog
log = ChainedLog("log.jsonl", "a log of numbers", lambda says: True)
print("ready", flush=True)
for value in range(int(sys.argv[2])):
    log.append(Path(sys.argv[1]), {"value": value}, verify=value % 2 == 0)
"""


def written(folder, lines=5):
    for value in range(lines):
        LOG.append(folder, {"value": value})
    return folder / LOG.name


def test_lines_are_read_as_they_were_written_and_the_head_is_the_last_hash(tmp_path):
    assert LOG.read(tmp_path) == Chain([]) and LOG.read(tmp_path).head == ""
    first, second = LOG.append(tmp_path, {"value": 7}), LOG.append(tmp_path, {"value": "ä"}, verify=False)
    found = LOG.read(tmp_path)
    assert found.lines == [first, second] and found.head == second.hash and found.half_line is None
    raw = [json.loads(line) for line in (tmp_path / LOG.name).read_text().splitlines()]
    assert raw[1] == chained({"number": 2, "value": "ä"}, first.hash)
    assert (tmp_path / LOG.name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "line", "found"),
    [
        ("one is taken out", 3, "line 4: some are missing"),
        ("two are swapped", 2, "line 3: some are missing, or in another order"),
        ("one is there twice", 3, "line 2"),
        ("the first is taken off", 1, "line 2"),
        ("a value is another", 3, "a changed one"),
        ("a hash is another", 3, "a changed one"),
        ("a value is another kind of number", 3, "a changed one"),
        ("one is changed with its hash", 4, "one that follows another"),
        ("one is taken out and the next have new numbers", 3, "one that follows another"),
        ("one is no JSON", 3, "invalid JSON"),
        ("one is of another log", 3, "another one"),
        ("one has a key twice", 3, "a key twice"),
    ],
)
def test_each_change_is_said_with_its_line(tmp_path, change, line, found):
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    third = json.loads(lines[2])
    body = {"number": 3, "value": 9}
    changed = {
        "one is taken out": [*lines[:2], *lines[3:]],
        "two are swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "one is there twice": [*lines[:2], lines[1], *lines[2:]],
        "the first is taken off": lines[1:],
        "a value is another": [*lines[:2], json.dumps({**third, "value": 9}), *lines[3:]],
        "a hash is another": [*lines[:2], json.dumps({**third, "hash": "0" * 64}), *lines[3:]],
        "a value is another kind of number": [*lines[:2], json.dumps({**third, "value": 2.0}), *lines[3:]],
        "one is changed with its hash": [*lines[:2], json.dumps(chained(body, third["previous"])), *lines[3:]],
        "one is taken out and the next have new numbers": [
            *lines[:2],
            *(json.dumps({**json.loads(one), "number": json.loads(one)["number"] - 1}) for one in lines[3:]),
        ],
        "one is no JSON": [*lines[:2], "{", *lines[3:]],
        "one is of another log": [*lines[:2], json.dumps(chained({"number": 3, "other": 1}, third["previous"]))],
        "one has a key twice": [*lines[:2], lines[2][:-1] + ', "value": 2}', *lines[3:]],
    }[change]
    path.write_text("".join(f"{one}\n" for one in changed))
    with pytest.raises(ConfigError, match=rf"log\.jsonl:{line}: .*found .*{found}"):
        LOG.read(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        LOG.append(tmp_path, {"value": 1})
    assert path.read_bytes() == before


def test_wherever_the_last_line_is_torn_it_is_not_counted_and_the_next_one_takes_its_place(tmp_path):
    path = written(tmp_path, 2)
    whole = path.read_bytes()
    end_of_first = whole.index(b"\n") + 1
    for cut in range(end_of_first + 1, len(whole)):
        path.write_bytes(whole[:cut])
        found = LOG.read(tmp_path)
        assert (len(found.lines), found.half_line) == (1, 2)
    LOG.append(tmp_path, {"value": 8}, verify=False)
    assert [line.says["value"] for line in LOG.read(tmp_path).lines] == [0, 8]
    path.write_bytes(whole[:end_of_first])  # cut at the end of a line: the log cannot tell, a head kept elsewhere can
    assert len(LOG.read(tmp_path).lines) == 1


@pytest.mark.parametrize("half", [0, 1, 8_191, 8_192, 20_000, 300_000])
@pytest.mark.parametrize("longest", [10, 8_100, 60_000])
def test_the_last_line_is_found_from_the_end_whatever_its_length_and_what_a_crash_left(tmp_path, half, longest):
    for value in ("x" * longest, 2, "y" * longest):
        LOG.append(tmp_path, {"value": value}, verify=False)
        with (tmp_path / LOG.name).open("ab") as file:
            file.write(b"z" * half)
    LOG.append(tmp_path, {"value": 4}, verify=False)
    assert [line.number for line in LOG.read(tmp_path).lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("before", [[], [1], [1, "x" * 300_000]])
def test_a_long_line_that_a_crash_left_is_taken_off_whole(tmp_path, before):
    """Such as that of ten thousand phones to forget."""
    for value in before:
        LOG.append(tmp_path, {"value": value})
    with (tmp_path / LOG.name).open("ab") as file:
        file.write(b"z" * 200_000)
    LOG.append(tmp_path, {"value": 4})
    assert [line.says["value"] for line in LOG.read(tmp_path).lines] == [*before, 4]


def test_without_reading_all_a_log_is_gone_on_from_its_end_and_the_change_before_stays_to_be_seen(tmp_path):
    path = written(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:1], *lines[2:]]))
    LOG.append(tmp_path, {"value": 9}, verify=False)
    assert json.loads(path.read_text().splitlines()[-1])["number"] == 6
    with pytest.raises(ConfigError, match=r"log\.jsonl:2"):
        LOG.read(tmp_path)
    path.write_text("no line\n")
    with pytest.raises(ConfigError, match="last line"):
        LOG.append(tmp_path, {"value": 9}, verify=False)


def test_a_link_in_the_place_of_a_log_is_not_written_through(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / LOG.name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="expected a place that can be written"):
        LOG.append(tmp_path, {"value": 1})
    assert (tmp_path / "elsewhere").read_text() == ""


def writer(folder, lines):
    command = [sys.executable, "-c", WRITER, str(folder), str(lines)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_write_one_chain(tmp_path):
    both = [writer(tmp_path, 30) for _ in range(2)]
    assert [process.wait(PATIENCE_S) for process in both] == [0, 0]
    found = [line.says["value"] for line in LOG.read(tmp_path).lines]
    assert sorted(found) == sorted([*range(30), *range(30)])


def test_a_writer_that_is_killed_leaves_a_chain_that_goes_on(tmp_path):
    for lines in (3, 9):
        process = writer(tmp_path, 1_000_000)
        until = time.monotonic() + PATIENCE_S
        while len(LOG.read(tmp_path).lines) < lines and time.monotonic() < until:
            time.sleep(0.005)
        process.kill()
        process.wait(PATIENCE_S)
        before = LOG.read(tmp_path)
        assert len(before.lines) >= lines
        assert LOG.append(tmp_path, {"value": -1}).number == len(before.lines) + 1
