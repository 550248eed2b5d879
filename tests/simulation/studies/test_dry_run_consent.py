"""A dry run shows who agrees, who can be reached and who has taken part, day by day."""

import io

import numpy as np
import pytest
from rich.console import Console

from simulation.flags import parse_simulate
from simulation.studies import dry_run as dry_run_module
from simulation.studies.dry_run import prepare_dry_run, run_days
from simulation.studies.dry_run_consent import print_consent
from simulation.studies.dry_run_report import dry_run_summary, print_summary

FLAGS = ("--fleet.size", "600", "--cohort.goal", "20", "--cohort.pause-s", "3600", "--data.format", "synthetic")


def played(*flags, days=2.5):
    config = parse_simulate([*FLAGS, *flags]).run
    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, days)
    return run, dry_run_summary(run, config.cohort)


@pytest.fixture(autouse=True)
def few_phones_are_asked_for_their_tokens(monkeypatch):
    monkeypatch.setattr(dry_run_module, "_SAMPLE", 100)


def test_the_days_follow_the_consents_and_the_rounds():
    run, summary = played("--consent.train-share", "0.8", "--consent.wave-day", "1", "--consent.wave-mean-days", "0.2")
    days = summary["consent"]["days"]
    assert [one["day"] for one in days] == [0, 1, 2]
    may_train = np.flatnonzero(run.fleet.may_train)
    for one in days:
        there = run.fleet.agree("train", may_train, one["day"] * 86400.0)
        assert one["agreeing_share"] == there.mean()
        assert 0 < one["reachable_share"] <= min(one["eligible_share"], one["agreeing_share"])
    assert days[0]["agreeing_share"] == days[1]["agreeing_share"] > days[2]["agreeing_share"]
    assert days[0]["took_part_share"] == 0 < days[1]["took_part_share"] < days[2]["took_part_share"]
    assert days[1]["took_part_and_left_share"] == 0 < days[2]["took_part_and_left_share"]
    took_part = {row["group"]: row for row in summary["by_group"] if row["grouping"] == "consent to train"}
    assert took_part["never given"]["never_used_share"] == 1 > took_part["given"]["never_used_share"]
    assert sum(row["phones"] for row in summary["consent"]["by_group"] if row["grouping"] == "device tier") == len(
        may_train
    )


def test_it_is_printed_in_eighty_columns_and_only_where_anybody_may_refuse():
    _, silent = played(days=0.1)
    assert "consent" not in silent and silent["outcome_share"]["withdrawn"] == 0
    _, summary = played("--consent.train-share", "0.7", days=1.2)
    for content, there in ((silent, False), (summary, True)):
        text = io.StringIO()
        print_summary(Console(file=text, width=80), content, 600)
        assert ("consent: model: 70 % agree to training" in text.getvalue()) == there
    days = [{**summary["consent"]["days"][0], "day": day} for day in range(100)]
    text = io.StringIO()
    print_consent(Console(file=text, width=80), {"origin": "said", "days": days})
    rows = [line.split()[0] for line in text.getvalue().splitlines() if "%" in line]
    assert len(rows) == 12 and (rows[0], rows[-1]) == ("0", "99")
    assert max(map(len, text.getvalue().splitlines())) <= 80


def test_a_file_names_phones_of_synthetic_text_by_their_number(tmp_path):
    path = tmp_path / "said.csv"
    rows = "".join(f"#{phone},train,0,given\n" for phone in range(0, 600, 2))
    path.write_text("phone,purpose,time_s,consent\n" + rows)
    run, _ = played("--consent.path", str(path), days=0.5)
    assert run.releases and not run.log.counts[1::2].any() and run.log.counts[::2].any()
