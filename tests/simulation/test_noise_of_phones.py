"""Whole runs whose phones add the noise: the same weights with masks and without, and a claim that is checked."""

import json
import shutil
import signal
import sys

import pytest

from server_strategy.privacy.ledger import recompute
from simulation.flags import parse_simulate
from simulation.studies.privacy_check import checked
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.test_sums_alone import Files, contents, in_records, play
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError

FLAGS = (*WEIGHTS_ONLY, "--rounds", 2, "--privacy.noise-place", "phones")
SKELLAM = ("--privacy.phone-noise", "skellam", "--aggregation.bits", 16)


class Run(Files):
    def __init__(self, folder, *flags):
        self.folder = folder
        self.heard, self.printed = play(*FLAGS, *flags, "--output-dir", folder)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    flags = ("--aggregation.protocol", "secagg", "--engine.devices-per-message", 3)
    return Run(tmp_path_factory.mktemp("masked") / "run", *flags)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("counted") / "run", "--aggregation.protocol", "arithmetic")


def test_masks_change_no_bit_and_what_is_sent_falls_with_the_bits(masked, counted):
    for one, other in zip(masked.lines(), counted.lines(), strict=True):
        for name in ("weights_sha256", "reports", "tokens", "loss", "epsilon", "zcdp_rho", "clipped_share"):
            assert one[name] == other[name], name
        for line in (one, other):
            said = line["aggregation"]
            assert (said["noise_place"], said["bits"]) == ("phones", 20)
            assert said["vector_bytes"] == 32_768 * 20 // 8 + 4 * 48 // 8  # 24,096 weights, padded, and four figures
            assert said["wrapped_coordinates"] is None and said["wrapped_coordinates_why"].startswith("null: ")
    assert "added by the phones, in 20 bits" in masked.printed


def test_the_statement_says_who_adds_the_noise_and_all_of_it_is_recomputed(masked):
    said, page = masked.read("privacy.json"), (masked.folder / "privacy.md").read_text()
    assert said["noise_place"] == "phones" and said["noise_sampler"] == "discrete-gaussian"
    assert said["trust_model"].startswith("distributed: ") and "it adds no noise" in said["trust_model"]
    assert said["epsilon_exact_gaussian"] is None and said["gdp_mu"] is None
    assert all(row["epsilon_exact_gaussian"] is None for row in said["epsilon_over_delta"])
    assert any("its own randomness" in one for one in said["aggregation"]["not_shown_by_a_simulation"])
    assert "The noise is added by the phones" in page and "exact for Gaussian noise |" not in page
    assert said["planned"]["phone_noise"]["counted_on"] == 375  # 80 % of 500 have to report, 5 % may be corrupted
    _, findings = checked(masked.folder)
    assert not findings.wrongs
    places = {line.place for line in findings.lines}
    assert {"privacy.json: planned.phone_noise", "privacy_ledger.jsonl:1: phone_noise.dimension"} <= places


@pytest.mark.parametrize("change", [("bits = 20", "bits = 24"), ('"discrete-gaussian"', '"skellam"')])
def test_settings_that_come_to_other_noise_are_found(masked, tmp_path, change):
    shutil.copytree(masked.folder, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    assert change[0] in config.read_text()
    config.write_text(config.read_text().replace(*change))
    _, findings = checked(tmp_path / "run")
    assert any("phone_noise" in one.why for one in findings.wrongs)


def test_the_key_of_the_noise_is_in_no_answer_and_no_file(masked):
    keys = {
        bytes(record["key"])
        for message in masked.heard.sent
        for name, record in message.content.config_records.items()
        if name == "phone-noise-key"
    }
    (key,) = keys
    for content in (*contents(masked.folder), *in_records(masked.heard.answers)[1], masked.printed.encode()):
        assert key not in content and key.hex().encode() not in content


def test_a_run_that_goes_on_from_its_first_round_draws_the_same_noise(masked, tmp_path):
    again = tmp_path / "run"
    shutil.copytree(masked.folder, again)
    for path in (again / "checkpoints").glob("checkpoint-*2.npz"):
        path.unlink()
    play("--resume", again)
    before, after = (json.loads((at / "summary.json").read_text()) for at in (masked.folder, again))
    for name in ("weights_sha256", "epsilon", "devices_trained", "tokens_trained", "rounds_abandoned"):
        assert before[name] == after[name], name
    assert not checked(again)[1].wrongs


@pytest.mark.slow
def test_a_run_that_is_killed_with_the_sum_in_its_memory_has_spent_it_and_repeats_it_for_nothing(counted, tmp_path):
    folder, flags = tmp_path / "run", (*FLAGS, "--aggregation.protocol", "arithmetic", "--output-dir", tmp_path / "run")
    command = [sys.executable, "-m", "tests.simulation.killed_driver", "before the ledger", "2", *map(str, flags)]
    done = run_forked(command, cwd=ROOT, timeout=PATIENCE_S)
    assert done.returncode == -signal.SIGKILL, done.stderr
    spent = recompute(folder / "privacy_ledger.jsonl", 1)
    assert spent["unreleased_sums"] == 1
    assert spent["epsilon"] >= counted.lines()[0]["epsilon"]
    play("--resume", folder)
    before, after = (json.loads((at / "summary.json").read_text()) for at in (counted.folder, folder))
    for name in ("weights_sha256", "epsilon", "devices_trained", "tokens_trained"):
        assert before[name] == after[name], name
    found, findings = checked(folder)
    assert not findings.wrongs and found.spent.unreleased_sums == 0


def test_skellam_noise_of_the_runs_own_phones_and_how_often_the_sum_wrapped_around(tmp_path):
    flags = (*(flag for flag in FLAGS if flag not in ("--privacy.modelled-cohort", 500)), *SKELLAM)
    counted = ("--privacy.vocabulary-epsilon", "none", "--aggregation.protocol", "arithmetic")
    play(*flags, "--rounds", 1, *counted, "--output-dir", tmp_path / "run")
    (line,) = [json.loads(text) for text in (tmp_path / "run" / "rounds.jsonl").read_text().splitlines()]
    assert line["aggregation"]["wrapped_coordinates"] >= 0 and "wrapped_coordinates_why" not in line["aggregation"]
    assert line["epsilon_is_of"] == "this run" and not checked(tmp_path / "run")[1].wrongs


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "only with --aggregation.protocol secagg or arithmetic"),
        (("--aggregation.protocol", "secagg", "--privacy.mechanism", "blt"), "only with --privacy.mechanism gaussian"),
        (("--aggregation.protocol", "secagg", "--privacy.mechanism", "tree"), "only with --privacy.mechanism gaussian"),
        (("--aggregation.protocol", "secagg", "--privacy.clip-quantile", "0.5"), "only with a fixed clip norm"),
        (("--aggregation.protocol", "secagg", "--privacy.adjacency", "add-or-remove"), "adds no noise either"),
        (("--aggregation.protocol", "secagg", "--privacy.sampler", "discrete"), "no --privacy.sampler"),
        (("--aggregation.protocol", "secagg", "--privacy.poisson-counterfactual"), "no such result is known"),
        (("--aggregation.protocol", "secagg", "--cohort.policy", "buffered"), "rounds that follow one another"),
        (("--aggregation.protocol", "secagg", "--privacy.mechanism", "none"), "without --privacy.mechanism none"),
        (("--aggregation.protocol", "secagg", "--aggregation.bits", "11"), "--aggregation.bits"),
        (("--aggregation.protocol", "secagg", "--aggregation.bits", "33"), "--aggregation.bits"),
    ],
)
def test_what_phones_cannot_add_noise_to_is_refused_in_one_line(flags, said):
    with pytest.raises((ConfigError, SystemExit)) as refused:
        parse_simulate(["--privacy.noise-place", "phones", *flags])
    assert isinstance(refused.value, SystemExit) or (said in str(refused.value) and "\n" not in str(refused.value))


@pytest.mark.parametrize("flag", [("--aggregation.bits", "16"), ("--privacy.phone-noise", "skellam")])
def test_settings_of_the_phones_noise_are_refused_where_the_server_adds_it(flag):
    with pytest.raises(ConfigError, match=rf"{flag[0]}: expected only with --privacy.noise-place phones"):
        parse_simulate(["--aggregation.protocol", "secagg", *flag])
