import csv
import io
import json
import sys

import pytest
from rich.console import Console

from client_model.config import ModelConfig
from client_model.learning.language_model import model_shape
from server_strategy.aggregation.homomorphic import is_installed
from server_strategy.aggregation.measuring import measure
from server_strategy.aggregation.vector import TAIL
from simulation.studies import aggregation_costs
from simulation.studies.aggregation_costs import Cost, Plan, Spread, machine_facts, measure_costs
from simulation.studies.aggregation_costs_report import price_and_report, print_costs, write_costs
from typefleet.errors import ConfigError

WEIGHTS = model_shape(ModelConfig(preset="small")).num_weights
QUICK = dict(presets=("small",), cohorts=(8,), played=1)
NO_MASKS = ("plain", "bfv", "ckks")
FACTS = {**machine_facts(), "load_1_min_after": 1.0}


@pytest.fixture
def without_tenseal(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenseal", None)  # as if it were not installed


def made_up(scheme, phones=8, seconds=0.25):
    spread = Spread(seconds, 0.9 * seconds, 1.5 * seconds, 3)
    return Cost(
        preset="small",
        weights=WEIGHTS,
        phones=phones,
        scheme=scheme,
        played=3,
        protect_s=None if scheme == "plain" else spread,
        add_s=spread,
        open_s=None if scheme == "plain" else spread,
        upload_mb=30.0,
        download_mb=2.0,
        is_exact=scheme != "ckks",
        error=2e-9 if scheme == "ckks" else 0.0,
        error_bound=5e-8 if scheme == "ckks" else 0.0,
    )


def test_plain_sums_cost_the_bytes_that_the_fleet_counts():
    (plain,) = measure_costs(Plan(schemes=("plain",), **QUICK))
    assert plain.upload_mb == plain.download_mb == pytest.approx(4e-6 * WEIGHTS)
    assert plain.is_exact and plain.add_s.number == 1 and plain.protect_s is None


def test_masked_sums_cost_the_bits_of_their_ring_and_little_else():
    full, short = measure_costs(Plan(schemes=("secagg", "secagg16"), **QUICK))
    messages = 0.01  # MB, at most, besides the vector
    assert 0 < full.upload_mb - 6e-6 * WEIGHTS < messages and 0 < short.upload_mb - 2e-6 * 2**19 < messages
    assert all(0 < one.download_mb - 4e-6 * WEIGHTS < messages for one in (full, short))
    assert full.parameters.endswith("ring 48 bits") and short.parameters.endswith("ring 16 bits")
    for one in (full, short):
        assert one.is_exact and one.error is None and one.parameters.startswith("7 neighbours, threshold ")
        assert one.protect_s.low > one.add_s.median > 0 and one.open_s.median > 0


def test_cohorts_in_which_a_sum_hides_nobody_are_refused_before_anything_is_measured():
    with pytest.raises(ConfigError, match="phones"):
        measure_costs(Plan(presets=("small",), cohorts=(64, 2), schemes=("plain", "secagg")))


def test_encrypted_sums_are_exact_or_within_the_bound_and_larger():
    if not is_installed():
        pytest.skip("the extra he is not installed")
    exact, near = measure_costs(Plan(schemes=("bfv", "ckks"), **QUICK))
    assert exact.is_exact and exact.error == 0
    assert not near.is_exact and 0 < near.error <= near.error_bound <= 2.0**-24
    for one in (exact, near):
        assert one.upload_mb > 5 * 4e-6 * WEIGHTS and one.download_mb > 4e-6 * WEIGHTS
        assert one.protect_s.median > one.add_s.median > 0 and one.open_s.number == 3
    assert exact.parameters == "N 4096, q 34+35+30 bits, t 45 bits"


def test_without_the_extra_its_rows_are_left_out_with_the_command_that_installs_it(without_tenseal, tmp_path):
    said = io.StringIO()
    files = price_and_report(
        Console(file=said, width=80, markup=False), Plan(schemes=NO_MASKS, **QUICK), tmp_path / "out"
    )
    text = " ".join(said.getvalue().split())
    assert "Left out: BFV, CKKS. TenSEAL is not installed: pip install 'typefleet[he]'" in text
    assert "plain" in text and [path.suffix for path in files] == [".csv", ".json", ".png"]
    content = json.loads(files[1].read_text())
    assert content["machine"]["tenseal"] is None
    plain, bfv, _ = content["costs"]
    assert plain["why"] is None and bfv["upload_mb"] is None and "pip install" in bfv["why"]


def test_nothing_that_can_be_measured_is_an_error(without_tenseal, tmp_path):
    with pytest.raises(ConfigError, match=r"homomorphic encryption: expected TenSEAL \(pip install 'typefleet\[he\]'"):
        price_and_report(Console(file=io.StringIO()), Plan(schemes=("bfv",), **QUICK), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_row_is_printed_within_the_width_of_the_terminal(width):
    said = io.StringIO()
    costs = [made_up(scheme, phones) for phones in (8, 64) for scheme in ("plain", "bfv", "ckks")]
    print_costs(Console(file=said, width=width), costs, FACTS)
    lines = said.getvalue().splitlines()
    assert max(map(len, lines[:-1])) <= width  # the last one is a command
    assert said.getvalue().count("0.25 (0.23-0.38)") == 14
    assert "at most 5.0e-08" in " ".join(said.getvalue().split())


def test_the_dry_run_is_told_what_comes_on_top():
    said = io.StringIO()
    print_costs(Console(file=said, width=80), [made_up("plain"), made_up("bfv")], FACTS)
    given = said.getvalue().splitlines()[-1].split("fleet_dry_run.py ")[1].split()
    flags = dict(zip(given[::2], given[1::2], strict=True))
    assert float(flags["--protection.upload-mb"]) == pytest.approx(30 - 4e-6 * WEIGHTS, rel=1e-2)
    assert float(flags["--protection.download-mb"]) == pytest.approx(2 - 4e-6 * WEIGHTS, rel=1e-2)
    assert float(flags["--protection.compute-s"]) == 0.25


def test_the_table_can_be_read_back(tmp_path):
    costs = [made_up("plain"), made_up("ckks")]
    for path in write_costs(tmp_path, costs, FACTS):
        assert path.stat().st_size > 100
    rows = list(csv.DictReader((tmp_path / "aggregation_costs.csv").open(encoding="utf-8")))
    assert [row["scheme"] for row in rows] == ["plain", "ckks"]
    assert rows[0]["protect_median_s"] == "" and float(rows[1]["protect_high_s"]) == pytest.approx(0.375)
    assert float(rows[1]["error"]) == 2e-9 and rows[1]["open_repetitions"] == "3"


def test_the_ring_that_is_priced_is_that_of_a_run_with_so_many_phones(monkeypatch):
    """48 bits up to 127 phones, 56 above; the vector has the four figures of an update beside it."""
    asked = []

    def seen(phones, length, ring, **how):
        asked.append((phones, length, ring.bits))
        return measure(3, 64, ring, **how)  # of phones and a vector that cost nothing

    monkeypatch.setattr(aggregation_costs, "measure", seen)
    measure_costs(Plan(presets=("small",), cohorts=(127, 128), schemes=("secagg",), played=1))
    assert set(asked) == {(127, WEIGHTS + TAIL, 48), (128, WEIGHTS + TAIL, 56)}


def test_lists_without_anything_and_with_the_same_twice_are_refused(script_here):
    for flag, given, found in (("--cohorts", ("8", "8"), "8 8"), ("--schemes", ("bfv", "bfv"), "bfv bfv")):
        done = script_here("price_aggregation.py", flag, *given)
        assert done.returncode == 2
        assert done.stderr == f"error: {flag}: expected at least one, each once, found {found}\n"
    done = script_here("price_aggregation.py", "--cohorts", "0")
    assert done.returncode == 2 and done.stderr == "error: --cohorts: expected a number >= 1 and <= 4096, found 0\n"
