"""Whole runs in which the server learns sums alone: the same weights, and nothing of a phone in what they leave."""

import json

import pytest

from server_strategy.privacy.statement_aggregation import trust_model
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.studies.privacy_check import checked
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import simulate


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a run by the protocol of the aggregation."""
    found = {}
    for protocol, own in (("none", ()), ("arithmetic", ("--engine.devices-per-message", 3))):
        found[protocol] = tmp_path_factory.mktemp("runs") / protocol
        flags = (*WEIGHTS_ONLY, *own, "--privacy.clip-quantile", 0.5, "--aggregation.protocol", protocol)
        simulate([str(one) for one in (*flags, "--output-dir", found[protocol])])
    return found


def read(folder, name):
    return json.loads((folder / name).read_text())


def lines(folder):
    return [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]


def test_weights_reports_and_costs_are_those_of_a_server_that_is_told_everything(runs):
    without, summed = (lines(runs[protocol]) for protocol in ("none", "arithmetic"))
    names = ("weights_sha256", "reports", "tokens", "clip_norm", "clipped_share", "epsilon", "reported", "top1_recall")
    for one, other in zip(without, summed, strict=True):
        assert {name: one.get(name) for name in names} == {name: other.get(name) for name in names}
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert "aggregation" not in one and other["aggregation"]["protocol"] == "arithmetic"
        assert other["aggregation"]["mean_update_norm"] > 0
    assert (
        read(runs["none"], "summary.json")["weights_sha256"]
        == read(runs["arithmetic"], "summary.json")["weights_sha256"]
    )


def test_what_is_known_of_no_group_is_null_and_says_why(runs):
    without, summed = (read(runs[protocol], "participation.json") for protocol in ("none", "arithmetic"))
    assert all(row["share_of_tokens"] is not None for row in without["by_group"]) and "not_shown" not in without
    assert all(row["share_of_tokens"] is None for row in summed["by_group"])
    assert {row["grouping"] for row in summed["by_group"]} == {"device tier", "time zone", "time eligible"}
    assert all("learns sums over a round's phones alone" in why for why in summed["not_shown"].values())
    assert summed["overall"] == without["overall"]
    stored = {p: load_newest_checkpoint(folder / "checkpoints")[0].state for p, folder in runs.items()}
    assert stored["none"]["tokens_by_phone"].any() and not stored["arithmetic"]["tokens_by_phone"].any()


def test_the_statement_says_who_sees_what_and_can_be_checked(runs):
    without, summed = (read(runs[protocol], "privacy.json") for protocol in ("none", "arithmetic"))
    assert "aggregation" not in without and "aggregation" not in without["facts"]
    assert summed["trust_model"] == trust_model({"protocol": "arithmetic"}, "") != without["trust_model"]
    page = (runs["arithmetic"] / "privacy.md").read_text()
    for text in (*summed["aggregation"]["who_sees_what"].values(), *summed["aggregation"]["assumed"]):
        assert text in page
    assert "the norm of each phone's update" not in page
    assert "the norm of each phone's update" in (runs["none"] / "privacy.md").read_text()
    assert "the server's memory with --aggregation.protocol" in page
    assert not checked(runs["arithmetic"])[1].wrongs
