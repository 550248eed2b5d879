"""What was done to a trail is said in one line with its place; what it says is shown in a table."""

import json

import pytest

from simulation.audit_trail import ACTOR, TRAIL, begin_on, has_parsed, recording
from simulation.commands import check_privacy
from simulation.commands import check_trail as command
from simulation.flags import run_door
from simulation.run.ledger_head import TRAIL_DIGEST
from simulation.studies.trail_check import check_trail
from tests.conftest import ROOT
from typefleet.chained_log import chained
from typefleet.errors import ConfigError

FLAGS = ["--rounds=3", "--cohort.goal=8", "--fleet.size=300", "--data.format=synthetic", "--seed=1", "--output-dir=x"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with three commands in its trail, of six lines."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "config.toml").write_text("rounds = 1\n")
    monkeypatch.setenv("COLUMNS", "80")
    with recording():
        has_parsed("simulate", FLAGS, [folder])
        (folder / "model" / "weights.npz").write_bytes(b"weights")
    monkeypatch.setenv(ACTOR, "Annabel Longname of the release team")
    assert run_door(lambda: has_parsed("audit", ["--quick"], [folder]) or 1) == 1
    monkeypatch.delenv(ACTOR)
    with pytest.raises(KeyboardInterrupt), recording():
        has_parsed("keyboard_demo", [], [folder])
        raise KeyboardInterrupt
    return folder


def raw(run):
    return (run / TRAIL).read_text().splitlines()


def put(run, lines):
    (run / TRAIL).write_text("".join(f"{line}\n" for line in lines))


def checked(run, capsys, *arguments):
    """(exit code, standard output, standard error) of the command."""
    capsys.readouterr()
    code = run_door(lambda: command.main([str(run), *arguments]))
    return code, *capsys.readouterr()


def test_a_trail_is_a_table_of_eighty_columns_and_its_head_is_printed(run, capsys):
    code, out, errors = checked(run, capsys)
    assert (code, errors) == (0, "") and max(map(len, out.splitlines())) <= 80
    for said in ("run --rounds", "and 2 more", "done, 0 s", "exit code 1, 0 s", "interrupted, 0 s", "this check"):
        assert said in out, out
    assert "Annabel" in out and "team (" in out
    assert "7 lines, each follows the one before it; head:\n" in out
    head = json.loads(raw(run)[6])["hash"]
    assert f"\n{head}\n" in out
    code, out, _ = checked(run, capsys, "--head", head)
    assert code == 0 and "done, 0 s" in out  # later lines are no matter


CHANGES = {
    "a value": (3, "a changed one"),
    "a line taken out": (3, "some are missing"),
    "two lines swapped": (3, "some are missing, or in another order"),
    "an end of nothing": (7, "the end of a command that began before it"),
    "a second end": (7, "the end of a command that began before it"),
    "no line of a trail": (3, "a line of an audit trail"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_done_to_it_is_one_line_with_its_place_and_exit_code_1(run, capsys, change):
    lines, place = raw(run), f"{run / TRAIL}:{CHANGES[change][0]}: expected "
    third, last = json.loads(lines[2]), json.loads(lines[5])

    def end_of(number):
        says = {name: value for name, value in last.items() if name not in ("number", "previous", "hash")}
        return json.dumps(chained({"number": 7, **says, "of": number}, last["hash"]))

    put(
        run,
        {
            "a value": [*lines[:2], json.dumps({**third, "user": "somebody"}), *lines[3:]],
            "a line taken out": [*lines[:2], *lines[3:]],
            "two lines swapped": [*lines[:2], lines[3], lines[2], *lines[4:]],
            "an end of nothing": [*lines, end_of(2)],
            "a second end": [*lines, end_of(1)],
            "no line of a trail": [*lines[:2], json.dumps(chained({"number": 3, "at": "now"}, third["previous"]))],
        }[change],
    )
    code, out, errors = checked(run, capsys)
    said = [
        line for line in errors.splitlines() if not line.startswith("note: ")
    ]  # it may have no line in such a trail
    assert code == 1 and len(said) == 1 and said[0].startswith(place) and CHANGES[change][1] in said[0], errors
    assert "head:" not in out and "run --rounds" in out  # what was before the place is shown


def test_lines_cut_off_the_end_or_all_of_them_anew_are_seen_by_a_head_that_was_kept(run, capsys):
    lines = raw(run)
    head = json.loads(lines[5])["hash"]
    assert checked(run, capsys, "--head", head)[0] == 0
    put(run, lines[:4])
    assert check_trail(run).wrongs == []  # the trail alone cannot tell
    code, _, errors = checked(run, capsys, "--head", head)
    what = "expected a line whose hash is the head that was kept, found none among 5: lines were cut off the end"
    assert code == 1 and errors.startswith(f"{run / TRAIL}: {what}") and errors.count("\n") == 1
    (run / TRAIL).unlink()
    assert checked(run, capsys, "--head", head)[0] == 1
    assert run_door(lambda: command.main([str(run), "--head", "no hash"])) == 2


def test_it_is_one_json_object_too(run, capsys):
    code, out, _ = checked(run, capsys, "--json")
    found = json.loads(out)
    assert code == 0 and found["whole"] and found["lines"] == 7 and found["wrong"] == found["notes"] == []
    assert [(one["line"], one["command"], one["exit_code"]) for one in found["commands"]] == [
        (1, "run", 0),
        (3, "audit", 1),
        (5, "demo", 130),
        (7, "trail", None),
    ]
    assert found["commands"][0]["flags"] == [flag.partition("=")[0] for flag in FLAGS]
    put(run, raw(run)[1:])
    assert not json.loads(checked(run, capsys, "--json")[1])["whole"]


def test_a_file_that_changed_while_no_command_was_at_work_is_noted(run):
    assert check_trail(run).notes == []
    (run / "model" / "weights.npz").write_bytes(b"others")
    (said,) = check_trail(run).notes
    assert said == "model/weights.npz became another since the last line, while no command on record was at work"
    with recording("report"):
        begin_on(run)
        (run / "privacy_head.json").write_text("{}")  # within a command
    (run / "privacy_head.json").unlink()
    notes = check_trail(run).notes
    assert [note.partition(",")[0] for note in notes] == [
        "model/weights.npz became another before line 7",
        "privacy_head.json went since the last line",
    ]


def test_a_command_without_an_end_may_have_changed_what_was_changed_after_it(run):
    put(run, raw(run)[:5])
    found = check_trail(run)
    assert found.notes == [] and [step.outcome for step in found.steps] == ["done", "exit code 1", "no end"]
    (run / "model" / "weights.npz").write_bytes(b"others")
    said = "the command of line 5 has no end; by it, or by none on record, there changed after it: "
    assert check_trail(run).notes == [f"{said}model/weights.npz"]
    with recording("report"):  # which is at work itself, and knows what it does
        begin_on(run)
        (run / "privacy_head.json").write_text("{}")
    (run / "config.toml").write_text("rounds = 2\n")
    (run / "model" / "weights.npz").write_bytes(b"third")
    assert check_trail(run).notes == [f"{said}model/weights.npz, config.toml"]
    with recording():  # the same again, after which there is none without an end
        has_parsed("keyboard_demo", [], [run])
    (run / "config.toml").write_text("rounds = 3\n")
    since = "config.toml became another since the last line, while no command on record was at work"
    assert check_trail(run).notes == [since, f"{said}model/weights.npz, config.toml"]


def test_what_asks_for_a_look_is_noted(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "config.toml").touch()
    (tmp_path / "privacy_ledger.jsonl").write_text(json.dumps({"hash": "a" * 64}) + "\n")
    with recording("report"):
        begin_on(tmp_path)
    begin, end = map(json.loads, raw(tmp_path))
    says = {name: value for name, value in end.items() if name not in ("number", "previous", "hash")}
    back = chained({"number": 2, **says, "at": "2020-01-01T00:00:00+00:00"}, begin["hash"])
    put(tmp_path, [json.dumps(begin), json.dumps(back)])
    with (tmp_path / TRAIL).open("a") as file:
        file.write('{"number"')
    notes = [note.partition(":")[0].partition(",")[0] for note in check_trail(tmp_path).notes]
    assert notes == [
        "line 3 is half-written",
        "the run was there before its trail",
        "line 2 is earlier than the line before it",
    ]


def test_a_run_without_a_trail_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="expected the audit trail of a run, found none"):
        check_trail(tmp_path)


def test_the_head_of_the_statement_holds_the_trail_too(run, capsys):
    hashes = [json.loads(line)["hash"] for line in raw(run)]
    (run / "privacy_head.json").write_text(json.dumps({TRAIL_DIGEST: hashes[4]}))
    assert checked(run, capsys)[0] == 0
    put(run, raw(run)[:4])
    code, _, errors = checked(run, capsys)
    assert code == 1 and "expected a line whose hash is that in privacy_head.json, found none among 5: lines" in errors


@pytest.mark.slow
def test_a_real_run_begins_its_trail_and_its_statement_s_check_holds_it(straight, script_here, tmp_path, capsys):
    from shutil import copytree

    run = tmp_path / "run"
    copytree(straight[0], run)
    first, second = map(json.loads, raw(run)[:2])
    assert (first["event"], first["command"], second["of"], second["exit_code"]) == ("begin", "run", 1, 0)
    assert list(first["files"]) == ["config.toml"] and "model/weights.npz" in second["files"]
    done = script_here("check_privacy.py", run)
    assert done.returncode == 0 and "each line follows the one before it" in done.stdout
    lines = raw(run)
    put(run, lines[1:])
    done = script_here("check_privacy.py", run)
    assert done.returncode == 1 and f"{TRAIL}:1: expected line 1 of an audit trail" in done.stderr
    says = {name: value for name, value in first.items() if name not in ("number", "previous", "hash")}
    put(run, [json.dumps(chained({"number": 1, **says, "user": "somebody"}, ""))])  # written anew, as a whole
    done = script_here("check_privacy.py", run)
    assert done.returncode == 1 and "expected a line whose hash is that in privacy_head.json" in done.stderr
    (run / TRAIL).unlink()
    assert check_privacy.main([str(run)]) == 1  # called without the door, which would begin another one
    assert f"{TRAIL}: it is not there, and privacy_head.json has the hash" in capsys.readouterr().err


def test_the_guide_shows_what_is_printed():
    guide = (ROOT / "docs" / "how-to" / "check-trail.md").read_text()
    assert all(said in guide for said in ("each follows the one before it; head:", "no end", "--head"))
