"""Rounds with and without secure aggregation, cell by cell: each is what a dry run of its own would be."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, graph_size
from server_strategy.aggregation.sizes import step_bytes
from simulation.flags import parse_simulate
from simulation.studies.aggregation_grid import FIGURES, cells_of, play_grid
from simulation.studies.aggregation_grid_report import play_grid_and_report, print_grid, write_grid
from simulation.studies.dry_run import model_bytes, prepare_dry_run, run_days
from simulation.studies.dry_run_report import dry_run_summary
from simulation.studies.dry_run_settings import NO_PROTECTION, Grid, Protection
from simulation.world.aggregation_settings import steps_of
from tests.heard_steps import Heard
from typefleet.steps import heard_by

DAYS, ONE = 0.08, Protection(upload_mb=2.0, download_mb=0.5)
GRID = Grid(cohorts=(12, 70), neighbours=("fewest", "all"), thresholds=("fewest", 0.8, 1.0), step_latencies_s=(5, 400))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of 1,000 phones with the text of 20 people."""
    path = tmp_path_factory.mktemp("people") / "messages.jsonl"
    path.write_text("".join(json.dumps({"user_id": f"u{n % 20}", "text": "see you"}) + "\n" for n in range(200)))
    flags = ("--fleet.size", "1000", "--cohort.min-separation-rounds", "1", "--privacy.mechanism", "none")
    return parse_simulate(["--data.path", str(path), "--data.cache-dir", str(path.parent / "cache"), *flags]).run


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def rows(config, heard):
    with heard_by(heard):
        return play_grid(cells_of(config, GRID, ONE), DAYS, 2)


def test_every_cell_is_the_dry_run_of_its_settings(rows):
    """The fleet that all cells share forgets each of them."""
    summed = [row for row in rows if row.cell.size is not None]
    for row in (summed[-1], next(one for one in rows if one.cell.scheme == "one message"), summed[0]):
        run, cohorts = prepare_dry_run(row.cell.config, protection=row.cell.protection)
        run_days(row.cell.config, run, cohorts, DAYS)
        alone = dry_run_summary(run, row.cell.config.cohort)
        assert row.figures["rounds_per_day"][0] == alone["rounds_per_day"]
        assert row.figures["completed_share"][0] == alone["rounds_completed_share"]
        if row.cell.scheme == "secagg":
            assert row.figures["steps_s"][0] == alone["aggregation"]["steps_s"]["p50"]
            assert row.figures["upload_mb"][0] == alone["aggregation"]["phone_up_mb"]


def test_there_is_a_cell_for_each_cohort_scheme_graph_and_latency(rows):
    graphs = [(row.cell.phones, row.cell.size.neighbours, row.cell.size.threshold) for row in rows if row.cell.size]
    assert len(graphs) == 2 * len(set(graphs))  # each once with each latency
    fewest = graph_size(70, replace(USUAL_ASSUMPTIONS, least_phones=56)).neighbours  # 80 % have to report
    assert {(phones, neighbours) for phones, neighbours, _ in graphs} == {(12, 11), (70, fewest), (70, 69)}
    adapted = [row.cell for row in rows if row.cell.size and row.cell.config.aggregation.neighbours is None]
    assert {(cell.phones, cell.size.neighbours) for cell in adapted} == {(12, 11), (70, fewest)}  # round by round
    assert [row.cell.scheme for row in rows if row.cell.size is None and not row.cell.why] == [
        "plain",
        "one message",
    ] * 2
    assert all(
        row.cell.threshold_is_least for row in rows if row.cell.size and row.cell.config.aggregation.threshold is None
    )


def test_graphs_that_do_not_withstand_what_is_assumed_are_not_played_and_say_why(rows):
    left = [row for row in rows if row.cell.why]
    assert left and all(row.rounds == 0 and not any(row.figures.values()) for row in left)
    assert any("threshold in a round of 12 phones: expected 7 to 10, found 11" in row.cell.why for row in left)


def test_bytes_and_seconds_are_those_of_the_messages(rows):
    size = model_bytes(rows[0].cell.config)
    for row in rows:
        up, down = row.figures["upload_mb"], row.figures["download_mb"]
        if row.cell.scheme == "plain":
            assert up == down == [pytest.approx(size / 1e6)] * 2 and row.figures["steps_s"] == [None, None]
        elif row.cell.scheme == "one message":
            assert up == [pytest.approx(size / 1e6 + 2.0)] * 2 and down == [pytest.approx(size / 1e6 + 0.5)] * 2
        elif row.cell.size is not None:
            config = row.cell.config
            terms = steps_of(config.aggregation, config.cohort, size // 4, config.seed).terms
            whole = step_bytes(replace(terms, phones=row.cell.phones), row.cell.size).values()
            assert up[0] == pytest.approx(sum(one.up for one in whole) / 1e6, rel=1e-2)
            assert row.figures["cryptography_s"][0] > 0


def test_the_longer_the_steps_the_more_phones_leave_and_the_fewer_rounds_there_are(rows):
    for phones in GRID.cohorts:
        own = [row for row in rows if row.cell.phones == phones and row.cell.size is not None]
        quick, slow = ([row for row in own if row.cell.latency_s == latency_s] for latency_s in (5, 400))
        for one, other in zip(quick, slow, strict=True):
            assert one.cell.size == other.cell.size
            assert one.figures["left_share"] < other.figures["left_share"]
            assert one.figures["rounds_per_day"] > other.figures["rounds_per_day"]


def test_causes_add_up_to_the_rounds_that_came_to_nothing(rows):
    for row in rows:
        if row.rounds:
            shares = row.figures["completed_share"]
            assert 0 <= sum(row.abandoned.values()) <= row.rounds
            assert (sum(row.abandoned.values()) == 0) == (shares == [1.0, 1.0])


def test_it_says_how_far_it_has_come(heard, rows):
    assert heard.names[0] == "timing the cryptography of a phone"
    played = sum(not row.cell.why for row in rows)
    assert (
        heard.names.count(f"playing {played} cells, seed 0")
        == heard.names.count(f"playing {played} cells, seed 1")
        == 1
    )


def test_tables_fit_and_files_can_be_read_back(rows, tmp_path):
    said = io.StringIO()
    print_grid(Console(file=said, width=80), rows, 2)
    text = said.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "neigh-" in text and "12 phones a round" in text and "70 phones a round" in text and "±" in text
    paths = write_grid(tmp_path, rows, {"load_1_min": 1.0}, days=DAYS, seeds=2)
    lines = list(csv.DictReader(paths[0].open(encoding="utf-8")))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert (int(line["phones"]), line["scheme"]) == (row.cell.phones, row.cell.scheme)
        for name in FIGURES:
            found = row.over_seeds(name)
            assert line[name] == ("" if found is None else str(found.mean))
    content = json.loads(paths[1].read_text())
    assert [one["why"] is None for one in content["cells"]] == [not row.cell.why for row in rows]
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_grid_of_nothing_but_latencies_is_that_of_the_settings(config, tmp_path):
    one = replace(config, cohort=replace(config.cohort, goal=12), output_dir=tmp_path / "out")
    said = io.StringIO()
    asked = Grid(step_latencies_s=(0.0,))
    files = play_grid_and_report(Console(file=said, width=80), one, 0.02, 1, grid=asked, protection=NO_PROTECTION)
    assert [path.name for path in files][1:] == [f"aggregation_grid.{ending}" for ending in ("csv", "json", "png")]
    assert [row["scheme"] for row in csv.DictReader(files[1].open(encoding="utf-8"))] == ["plain", "secagg"]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--grid.cohorts", "50", "50"), "--grid.cohorts: expected each value once, found 50 50"),
        (("--grid.cohorts", "2"), "--grid.cohorts: expected a number >= 3 and <= 65536, found 2"),
        (("--grid.thresholds", "0"), "--grid.thresholds: expected a number > 0 and <= 1, found 0.0"),
        (("--grid.thresholds", "1.5"), "--grid.thresholds: expected a number > 0 and <= 1, found 1.5"),
        (
            ("--grid.cohorts", "9", "--cohort.policy", "buffered"),
            "--aggregation.protocol arithmetic: expected only with",
        ),
        (
            ("--grid.cohorts", "500", "--grid.neighbours", "20", "--cohort.goal", "9"),
            "--grid.neighbours, thresholds: expected a graph that withstands what is assumed, found none: ",
        ),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(script_here, flags, line, tmp_path):
    done = script_here("fleet_dry_run.py", *flags, "--output-dir", tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {line}")
    assert not (tmp_path / "out").exists()
