"""The files keep their keys: people and programs read them by name."""

import json
from dataclasses import dataclass, replace

import pytest

from client_model.metrics.counting_baselines import Baselines
from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from simulation.engine.profile import RoundProfile
from simulation.run.directory import RunDirectory
from simulation.run.records import RoundRecord, Summary, check_metric_names
from simulation.start_up import Span
from simulation.world.participation import Participation
from simulation.world.policies.buffered import BufferedFunnel, Funnel
from tests.server_strategy.test_funnel import COUNTS
from typefleet.errors import ConfigError

# Recorded from a run that was made before lines and summaries had types.
ROUND_KEYS = """round completed abandoned invited dropped_failure dropped_ineligible dropped_upload late unused reported
    closed_s checked_in selection_s opened_s simulated_date reports rejected failed tokens loss clip_norm clipped_share
    train_seconds tokens_per_second zcdp_rho epsilon epsilon_is_of weights_sha256""".split()  # noqa: SIM905
MEASURED_KEYS = """top1_recall top3_recall impression_recall keystroke_savings perplexity oov_rate
    recall_by_position""".split()  # noqa: SIM905
BUFFERED_KEYS = ["in_flight_before", "stale", "in_flight"]
SUMMARY_KEYS = """rounds_completed rounds_abandoned devices_trained tokens_trained wall_seconds train_wall_seconds
    stopped_early tokens_per_second simulated_seconds zcdp_rho epsilon delta epsilon_is_of noise_source kernel
    kernel_bits
    baseline_unigram_top1 baseline_bigram_top1 baseline_trigram_top1
    baseline_unigram_top3 baseline_bigram_top3 baseline_trigram_top3
    baseline_unigram_keystroke_savings baseline_bigram_keystroke_savings baseline_trigram_keystroke_savings
    baseline_training_phones skipped_lines participation weights_sha256 peak_driver_rss_bytes other_runs""".split()  # noqa: SIM905
BUFFER = dict(in_flight_before=3, stale=1, in_flight=2)
PROFILE = RoundProfile(
    driver_s={"plan": 0.1},
    hosts_s={"train": 1.0},
    transport_s=0.1,
    checkpoint_s=0.0,
    driver_cpu_s=0.2,
    hosts_cpu_s=1.1,
    driver_peak_rss_bytes=5,
    worker_peak_rss_bytes=None,
)
STARTED = replace(PROFILE, start_up=(Span("driver", "import", "modules", 0.0, 1.5, None),))


def record(**changed):
    plain = RoundRecord(
        round=4,
        completed=3,
        abandoned=None,
        funnel=Funnel(**COUNTS),
        reports=8,
        rejected=["ab"],
        failed={"cd": "ValueError at text.py:3"},
        tokens=100,
        loss=2.5,
        clip_norm=1.0,
        clipped_share=0.5,
        train_seconds=0.1,
        tokens_per_second=1000.0,
        zcdp_rho=None,
        epsilon=None,
        epsilon_is_of="this run",
        held_out=None,
        weights_sha256="ef",
    )
    return replace(plain, **changed)


MEASURED = metric_table().nothing() | {"top1_recall": 0.1}
LINES = {
    "plain": (record(), ROUND_KEYS),
    "measured": (record(held_out=MEASURED), ROUND_KEYS + MEASURED_KEYS),
    "by a kernel": (record(kernel="native", kernel_bits="1"), [*ROUND_KEYS, "kernel", "kernel_bits"]),
    "profiled": (record(profile=PROFILE), [*ROUND_KEYS, "profile"]),
    "profiled, after a start": (record(profile=STARTED), [*ROUND_KEYS, "profile"]),
    "buffered": (
        record(funnel=BufferedFunnel(**COUNTS, **BUFFER, mean_staleness=0.5)),
        [*ROUND_KEYS, *BUFFERED_KEYS, "mean_staleness"],
    ),
    "buffered, abandoned": (
        record(abandoned="why", funnel=BufferedFunnel(**COUNTS, **BUFFER)),
        ROUND_KEYS + BUFFERED_KEYS,
    ),
    "nobody asked": (record(funnel=None, abandoned="why"), [key for key in ROUND_KEYS if key not in COUNTS]),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_has_the_keys_that_it_always_had(case):
    one, keys = LINES[case]
    line = one.as_line()
    assert sorted(line) == sorted(keys)
    assert line["loss"] == one.loss and line["failed"] == one.failed and line["epsilon"] is None
    assert RoundRecord.from_line(json.loads(json.dumps(line))).as_line() == line


def test_a_line_is_read_into_its_parts():
    assert RoundRecord.from_line(LINES["measured"][0].as_line()) == LINES["measured"][0]
    assert RoundRecord.from_line(LINES["profiled"][0].as_line()) == LINES["profiled"][0]
    started = RoundRecord.from_line(json.loads(json.dumps(LINES["profiled, after a start"][0].as_line())))
    assert started == LINES["profiled, after a start"][0]
    buffered = RoundRecord.from_line(LINES["buffered"][0].as_line())
    assert buffered.funnel == Funnel(**COUNTS) and buffered.held_out["mean_staleness"] == 0.5


SUMMARY = Summary(
    rounds_completed=3,
    rounds_abandoned=1,
    devices_trained=24,
    tokens_trained=300,
    wall_seconds=1.5,
    train_wall_seconds=1.0,
    stopped_early=None,
    tokens_per_second=300.0,
    simulated_seconds=99.0,
    held_out=MEASURED,
    zcdp_rho=0.5,
    epsilon=3.0,
    delta=1e-8,
    epsilon_is_of="this run",
    noise_source="secret",
    baselines=Baselines(0.1, 0.2, None, 0.3, 0.4, None, 0.5, training_phones=40),
    skipped_lines=0,
    participation=Participation(phones=40, updates=30, never_used_share=0.5, gini=None, most_updates_of_a_phone=2),
    weights_sha256="ab",
    peak_driver_rss_bytes=9,
)


def test_the_summary_has_the_keys_that_it_always_had(tmp_path):
    content = SUMMARY.as_json()
    assert sorted(content) == sorted(SUMMARY_KEYS + MEASURED_KEYS)
    assert content["baseline_bigram_top3"] == 0.4 == SUMMARY.reached_by("baseline_bigram_top3")
    directory = RunDirectory(tmp_path)
    directory.write_summary(SUMMARY)
    assert directory.read_summary() == SUMMARY


def test_what_became_of_the_sums_is_kept_where_there_is_something_to_say(tmp_path):
    directory, sums = RunDirectory(tmp_path), {"protocol": "secagg", "rounds_failed": {"no_sum": 1}}
    directory.write_summary(summed := replace(SUMMARY, aggregation=sums))
    assert directory.read_summary() == summed
    for damaged in ("secagg", [], {}, {"rounds_failed": {"no_sum": "x"}}):
        directory.write_summary(replace(SUMMARY, aggregation=damaged))
        with pytest.raises(ConfigError, match="found another value as aggregation"):
            directory.read_summary()


@pytest.mark.parametrize(
    ("content", "found"),
    [("{}", "no participation in it"), ("{", "invalid JSON"), (None, "no such file")],
)
def test_a_summary_that_is_none_is_refused_in_one_line(content, found, tmp_path):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(
        ConfigError, match=rf"summary\.json(:1)?: expected the outcome of a finished run, found .*{found}"
    ):
        RunDirectory(tmp_path).read_summary()


@pytest.mark.parametrize("name", ["epsilon", "loss", "late", "baseline_mine"])
def test_a_metric_may_not_take_another_values_place(name):
    mine = Metric(name, "mine", {}, lambda counts: None)
    with pytest.raises(ConfigError, match=f"metric {name}: expected a name that no other value"):
        check_metric_names(metric_table(handed_in=[mine]))


def test_what_a_policy_adds_to_its_funnel_stands_beside_the_rest():
    @dataclass(frozen=True, kw_only=True)
    class Waves(Funnel):
        waves: int

    assert record(funnel=Waves(**COUNTS, waves=2)).as_line()["waves"] == 2


def rounds_file(folder, rounds):
    directory = RunDirectory(folder)
    for number in range(1, rounds + 1):
        directory.append_round(record(round=number))
    return directory


@pytest.mark.parametrize(
    "line", [b"garbage", b"{}", b"[]", b"null", b"\xff\xfe", b"", b'{"round": 2}', b"1" * 5001, b"[" * 99_999]
)
def test_a_damaged_line_is_said_by_its_number_and_stays_there(tmp_path, line):
    directory = rounds_file(tmp_path, 3)
    lines = directory.rounds.read_bytes().split(b"\n")
    lines[1] = line
    directory.rounds.write_bytes(b"\n".join(lines))
    for read in (directory.read_rounds, lambda: directory.cut_rounds_after(3)):
        with pytest.raises(ConfigError, match=r"rounds\.jsonl:2: expected the line of round 2, found "):
            read()
    assert directory.rounds.read_bytes() == b"\n".join(lines)


def test_a_missing_line_is_said_by_its_number(tmp_path):
    directory = rounds_file(tmp_path, 3)
    lines = directory.rounds.read_bytes().splitlines(keepends=True)
    directory.rounds.write_bytes(lines[0] + lines[2])
    with pytest.raises(ConfigError, match=r"rounds\.jsonl:2: expected the line of round 2, found another one"):
        directory.read_rounds()


@pytest.mark.parametrize("torn", [b"", b'{"round": 4, "compl', b"\xff\x00"])
def test_a_last_line_that_a_kill_left_half_written_is_dropped(tmp_path, torn):
    directory = rounds_file(tmp_path, 3)
    whole = directory.rounds.read_bytes()
    directory.rounds.write_bytes(whole + torn)
    directory.cut_rounds_after(3)
    assert directory.rounds.read_bytes() == whole
    directory.cut_rounds_after(2)
    assert directory.rounds.read_bytes().splitlines() == whole.splitlines()[:2]
    with pytest.raises(ConfigError, match=r"expected the 3 rounds that the checkpoint is after, found 2 whole lines"):
        directory.cut_rounds_after(3)
