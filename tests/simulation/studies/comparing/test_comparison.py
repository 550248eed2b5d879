"""Runs side by side: which belong together, what is paired with what, and what is called a difference."""

import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from client_model.metrics.intervals import difference_over_people, over_people
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.run.directory import RunDirectory
from simulation.studies.comparing.comparison import compare_runs
from simulation.studies.comparing.metrics import why_not_the_same_phones
from simulation.studies.comparing.reading import read_run
from simulation.studies.comparing.tables import print_comparison
from simulation.studies.comparing.texts import difference_text
from tests.conftest import ROOT
from tests.simulation.studies.run_folders import counts_of, make_run
from typefleet import studies
from typefleet.errors import ConfigError, InputError

BLT = {"mechanism": "blt"}


@pytest.fixture
def runs(tmp_path):
    """make("name", seed=1, skill=0.1, privacy=...): the folder of a run."""
    return lambda name, **how: make_run(tmp_path / name, **how)


def recall(values):
    """Of one group's values or differences, that of the recall."""
    (one,) = (value for value in values if value.metric.name == TOP1_RECALL.name)
    return one


# Groups ------------------------------------------------------------------------------------------------


def test_runs_that_differ_in_their_seed_are_a_group_and_the_engine_plays_no_part(runs):
    folders = [
        runs("a", seed=0),
        runs("b", seed=1, engine={"workers": 3, "export": False}),
        runs("c", seed=1, privacy=BLT),
        runs("d", seed=0, privacy=BLT, engine={"profile": True}),
    ]
    found = compare_runs(folders)
    assert [(g.label, [r.folder.name for r in g.runs]) for g in found.groups] == [
        ("gaussian", ["a", "b"]),
        ("blt", ["d", "c"]),
    ]
    assert all(row.name.startswith("privacy.") for row in found.settings) and found.warnings == ()
    assert found.settings[0].name == "privacy.mechanism" and found.settings[0].texts == ("gaussian", "blt")


def by_kernel(folder, kernel, bits=None, *, earlier=None):
    """The same folder, of a run with that kernel and those bits; its first round by the (kernel, bits) `earlier`."""
    directory = RunDirectory(folder)
    summary = json.loads(directory.summary.read_text())
    directory.summary.write_text(json.dumps({**summary, "kernel": kernel, "kernel_bits": bits}))
    if earlier is not None:
        lines = [json.loads(line) for line in directory.rounds.read_text().splitlines()]
        pairs = [earlier, *[(kernel, bits)] * (len(lines) - 1)]
        lines = [line | {"kernel": k, "kernel_bits": b} for line, (k, b) in zip(lines, pairs, strict=True)]
        directory.rounds.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def test_runs_of_different_kernels_are_told_apart(runs):
    folders = [by_kernel(runs("a"), "native"), by_kernel(runs("b", seed=1), "tensorflow")]
    (warning,) = compare_runs(folders).warnings
    assert warning == (
        f"trained by different kernels, whose last bits differ: native: {folders[0]}; tensorflow: {folders[1]}"
    )
    again = by_kernel(runs("c"), "tensorflow")
    with pytest.raises(ConfigError, match=r"with the same but for the kernel \(native and tensorflow\); give one"):
        compare_runs([folders[0], again])


def with_parts(folder, **parts):
    """The same folder, of a run in which objects took the place of kinds."""
    summary = RunDirectory(folder).summary
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"handed_in": parts}))
    return folder


def test_runs_whose_parts_were_handed_in_are_told_apart_by_them(runs):
    one, other = ({"server_optimizer": f"__main__.Own(share={share})"} for share in (0.1, 0.2))
    plain, first, second = runs("a"), with_parts(runs("b"), **one), with_parts(runs("c"), **other)
    found = compare_runs([plain, first, second])
    assert len(found.groups) == 3
    (row,) = [row for row in found.settings if row.name == "handed_in.server_optimizer"]
    assert row.texts[1:] == ("__main__.Own(share=0.1)", "__main__.Own(share=0.2)")
    with pytest.raises(ConfigError, match="RUN: expected runs that differ in a setting or the seed"):
        compare_runs([first, with_parts(runs("d"), **one)])


OTHER_BITS = {  # of two runs: what trained the first, what trained the second, what is said of each
    "bits": ({"bits": "1"}, {"bits": "2"}, ("native with kernel_bits 1", "native with kernel_bits 2")),
    "bits that only one says": ({"bits": "1"}, {}, None),
    "the same bits": ({"bits": "1"}, {"bits": "1"}, None),
    "another build before": (
        {"bits": "2", "earlier": ("native", "1")},
        {"bits": "2"},
        ("native with kernel_bits 1, then native with kernel_bits 2", "native with kernel_bits 2"),
    ),
    "another kernel before": (
        {"bits": "2", "earlier": ("tensorflow", "1 with TensorFlow 2")},
        {},
        ("tensorflow, then native", "native"),
    ),
}


@pytest.mark.parametrize("case", OTHER_BITS)
def test_runs_of_other_builds_of_a_kernel_are_told_apart_by_their_bits(runs, case):
    first, second, told = OTHER_BITS[case]
    folders = [by_kernel(runs("a"), "native", **first), by_kernel(runs("b", seed=1), "native", **second)]
    said = [] if told is None else ["; ".join(f"{how}: {run}" for how, run in zip(told, folders, strict=True))]
    assert list(compare_runs(folders).warnings) == [
        f"trained by different kernels, whose last bits differ: {kernels}" for kernels in said
    ]
    again = by_kernel(runs("c"), "native", **second)
    but = "" if told is None else f" but for the kernel \\({' and '.join(told)}\\)"
    with pytest.raises(ConfigError, match=f"with the same{but}; give one"):
        compare_runs([folders[0], again])


def test_a_run_by_two_kernels_is_told_of_where_it_is_one_of_its_kind(runs):
    folders = [by_kernel(runs(n, seed=int(n == "b")), "native", "1", earlier=("tensorflow", "1")) for n in "ab"]
    (warning,) = compare_runs(folders).warnings
    assert warning.endswith(f"tensorflow, then native: {folders[0]}, {folders[1]}")


def test_training_in_one_place_afterwards_parts_no_runs(runs):
    central = {"evaluation": {"central": True}}
    first = runs("a", **central)
    found = compare_runs([first, runs("b", seed=1)])
    assert [group.label for group in found.groups] == ["all runs"] and found.warnings == ()
    with pytest.raises(ConfigError, match=r"with the same but for evaluation\.central; give one, or --by run"):
        compare_runs([first, runs("c")])


def test_what_else_differs_between_and_within_groups_is_said(runs):
    folders = [
        runs("a", training={"learning_rate": 0.5}),
        runs("b", privacy=BLT),
        runs("c", privacy=BLT, training={"learning_rate": 0.7}),
    ]
    found = compare_runs(folders, ["privacy.mechanism"])
    also, within = found.warnings
    assert also.startswith("groups also differ in training.learning_rate") and "mechanism" not in also
    assert within == "blt: a mean over runs that differ in training.learning_rate"
    uneven = compare_runs([*folders, runs("d", privacy=BLT, seed=1)], ["privacy.mechanism"]).warnings[1]
    assert uneven == f"{within}, and not all of its seeds have all of them"
    assert recall(found.measured[1]).why == "one seed, and several runs of it"
    assert recall(found.differences[1]).why.endswith("several runs of it")
    labels = [g.label for g in compare_runs(folders, ["privacy.mechanism", "training.learning-rate"]).groups]
    assert labels == ["gaussian, learning rate 0.5", "blt, learning rate 1", "blt, learning rate 0.7"]


def test_a_label_has_what_tells_groups_apart_and_no_more(runs):
    rates = [runs(f"rate-{rate}", training={"learning_rate": rate, "epochs": 2}) for rate in (0.5, 0.25)]
    assert [g.label for g in compare_runs(rates).groups] == ["learning rate 0.5", "learning rate 0.25"]
    assert [g.label for g in compare_runs(rates[:1]).groups] == ["all runs"]
    assert [g.label for g in compare_runs(rates, ["run"]).groups] == ["rate-0.5", "rate-0.25"]


def test_other_seeds_are_said(runs):
    found = compare_runs([runs("a", seed=0), runs("b", seed=0, privacy=BLT), runs("c", seed=1, privacy=BLT)])
    assert found.warnings == ("groups have other seeds, thus other people held out: gaussian: 0; blt: 0 1",)


# Intervals and differences -----------------------------------------------------------------------------


def test_the_same_run_against_itself_differs_by_exactly_nothing(runs, tmp_path):
    one = runs("one")
    shutil.copytree(one, tmp_path / "again")
    found = compare_runs([one, tmp_path / "again"], ["run"])
    for difference in found.differences[1]:
        assert (difference.interval.mean, difference.interval.low, difference.interval.high) == (0, 0, 0)
        assert difference.is_shown is False and "(none shown)" in difference_text(difference)
    assert "paired by phone" in recall(found.differences[1]).how
    seeds = [one, runs("other", seed=1)]
    copies = [runs(f"copy-{seed}", seed=seed, server_optimizer={"learning_rate": 0.5}) for seed in (0, 1)]
    for difference in compare_runs([*seeds, *copies]).differences[1]:
        assert (difference.interval.mean, difference.interval.low, difference.interval.high) == (0, None, None)
        assert difference.why.startswith("2 seeds gave the same value") and not difference.is_shown
        assert difference_text(difference).startswith("+0") and "(no interval)" in difference_text(difference)


def test_a_model_that_diverged_has_a_word_for_a_perplexity_and_the_reason_below(runs, tmp_path):
    whole, ruined = runs("whole"), runs("ruined", privacy={"mechanism": "tree"})
    summary = json.loads((ruined / "summary.json").read_text())
    (ruined / "summary.json").write_text(json.dumps({**summary, "perplexity": 1e304}))
    (ruined / "held_out.parquet").unlink()
    others = [runs(f"{name}-1", seed=1, privacy={"mechanism": name}) for name in ("gaussian", "tree")]
    for folders in ([whole, ruined], [whole, ruined, *others]):
        text = io.StringIO()
        print_comparison(Console(file=text, width=160), compare_runs(folders))
        printed = text.getvalue()
        assert "diverged, perplexity: 1,000,000 or more" in printed and "e+" not in printed
        assert not re.search(r"\b(inf|nan)\b", printed)


def test_the_order_of_the_folders_changes_no_value(runs):
    folders = [
        runs(f"{m}-{s}", seed=s, skill=k, privacy={"mechanism": m})
        for m, k in (("gaussian", 0.02), ("blt", 0.03))
        for s in range(3)
    ]
    forwards = compare_runs(folders, reference="blt")
    backwards = compare_runs(folders[::-1], reference="blt")

    def by_group(found):
        return {row["group"] + str(row["figure"]): row for row in found.rows}

    assert by_group(forwards) == by_group(backwards)


def test_one_run_has_its_interval_over_people_and_its_difference_phone_by_phone(runs):
    found = compare_runs([runs("a", skill=0.05), runs("b", skill=0.06, privacy=BLT)])
    own, other = counts_of(0, 0.05).counts, counts_of(0, 0.06).counts
    assert recall(found.measured[0]).interval == over_people(TOP1_RECALL, own)
    assert recall(found.differences[1]).interval == difference_over_people(TOP1_RECALL, other, own)
    assert recall(found.differences[1]).is_shown is True and found.differences[0] == ()
    assert difference_text(recall(found.differences[1])).startswith("+1.")
    turned = compare_runs([runs("c", skill=0.05), runs("d", skill=0.06, privacy=BLT)], reference="blt")
    assert recall(turned.differences[0]).interval.mean == -recall(found.differences[1]).interval.mean


def test_several_seeds_have_students_t_and_differences_seed_by_seed(runs):
    skills = {"gaussian": [0.02, 0.09, 0.05], "blt": [0.03, 0.1, 0.061]}
    folders = [
        runs(f"{name}-{seed}", seed=seed, skill=skill, with_phones=False, privacy={"mechanism": name})
        for name, of_seeds in skills.items()
        for seed, skill in enumerate(of_seeds)
    ]
    found = compare_runs(folders)
    values = [[run.summary.held_out["top1_recall"] for run in group.runs] for group in found.groups]
    own = recall(found.measured[0])
    assert own.value == pytest.approx(np.mean(values[0])) and own.interval.over == "seeds" and own.interval.number == 3
    between = recall(found.differences[1])
    paired = np.subtract(values[1], values[0])
    assert between.interval.mean == pytest.approx(paired.mean()) and between.how == "paired by seed (3 seeds: 0 1 2)"
    assert between.interval.half_width == pytest.approx(4.302653 * paired.std(ddof=1) / 3**0.5, rel=1e-6)
    assert between.is_shown and own.half_width > 5 * between.interval.half_width


def test_a_difference_within_its_interval_is_not_one_however_it_looks(runs):
    skills = {"gaussian": [0.02, 0.09], "blt": [0.05, 0.1]}
    folders = [
        runs(f"{name}-{seed}", seed=seed, skill=skill, privacy={"mechanism": name})
        for name, of_seeds in skills.items()
        for seed, skill in enumerate(of_seeds)
    ]
    between = recall(compare_runs(folders).differences[1])
    assert between.interval.mean > 0.015 and between.is_shown is False
    assert difference_text(between) == "+2.20 ±14.00\n(none shown)"


def test_without_a_seed_in_common_the_means_are_compared(runs):
    folders = [runs(f"a{s}", seed=s, skill=0.02) for s in (0, 1)]
    folders += [runs(f"b{s}", seed=s, skill=0.02, privacy=BLT) for s in (2, 3, 4)]
    found = compare_runs(folders)
    assert recall(found.differences[1]).how == "unpaired (Welch; 2 seeds of the reference and 3)"
    alone = compare_runs([folders[0], folders[2]])
    assert recall(alone.differences[1]).interval is None and "no seed in common" in recall(alone.differences[1]).why
    assert difference_text(recall(alone.differences[1])) == "no interval"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"with_phones": False}, "no held_out.parquet, which earlier versions did not write (b)"),
        ({"data": {"held_out_share": 0.2}}, "other settings of text or evaluation"),
        ({"evaluation": {"max_sequences": 30}}, "other settings of text or evaluation"),
        ({"people": 39}, "other phones held out"),
        ({"evaluation": {"every_rounds": 2}}, ""),
        ({"evaluation": {"central": True}}, ""),
        ({"engine": {"workers": 2}}, ""),
    ],
)
def test_phones_are_paired_only_where_they_are_the_same(other, why, runs):
    run, second = read_run(runs("a")), read_run(runs("b", privacy=BLT, **other))
    assert why_not_the_same_phones(run, second) == why
    between = recall(compare_runs([run.folder, second.folder]).differences[1])
    assert (between.how.startswith("paired by phone")) == (not why) and why in between.why


def test_other_text_under_the_same_settings_is_noticed(runs):
    one, other = read_run(runs("a")), read_run(runs("b", privacy=BLT))
    other.held_out.counts["tokens"][3] += 1  # a file that changed under its name
    assert why_not_the_same_phones(one, other) == "other text on the held-out phones"


# Privacy -----------------------------------------------------------------------------------------------


def test_epsilons_of_one_deployment_are_ranked(runs):
    found = compare_runs(
        [
            runs("a", epsilon=4.0),
            runs("b", epsilon=2.0, privacy=BLT),
            runs("c", privacy={"mechanism": "none"}),
            runs("d", epsilon=4.0001, privacy={"mechanism": "tree"}),
        ]
    )
    assert [one.rank for one in found.privacy] == [2, 1, None, 2] and found.ranking == ""
    assert [one.noise_is_repeatable for one in found.privacy] == [True, True, None, True]


@pytest.mark.parametrize("other", [{"cohort": 500}, {"cohort": None}, {"delta": 1e-7}])
def test_epsilons_of_different_deployments_are_not_ranked_unless_asked(other, runs):
    folders = [runs("a", epsilon=4.0), runs("b", epsilon=2.0, privacy=BLT, **other)]
    found = compare_runs(folders)
    assert [one.rank for one in found.privacy] == [None, None] and "are not ranked" in found.warnings[-1]
    assert all("not ranked" in row["note"] for row in found.rows if row["figure"] == "epsilon")
    asked = compare_runs(folders, rank_across_deployments=True)
    assert [one.rank for one in asked.privacy] == [2, 1] and "because it was asked for" in asked.warnings[-1]


# Bad input ---------------------------------------------------------------------------------------------


def spoil(folder, name, text):
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: shutil.rmtree(f), "run: expected the folder of a run, found no such folder"),
        (lambda f: (f / "config.toml").unlink(), "run: expected the folder of a run, found no config.toml in it"),
        (lambda f: spoil(f, "config.toml", "rounds = secret"), "config.toml:1: expected TOML"),
        (lambda f: [p.unlink() for p in f.glob("[rs]*.json*")], "run: expected the folder of a run, found no rounds"),
        (lambda f: (f / "summary.json").unlink(), "run: expected a finished run, found one without summary.json"),
        (lambda f: spoil(f, "summary.json", "{secret"), "summary.json:1: expected the outcome of a finished run"),
        (lambda f: spoil(f, "summary.json", '{"epsilon": 1}'), "summary.json: expected the outcome of a finished run"),
        (lambda f: spoil(f, "rounds.jsonl", "{secret\n"), "rounds.jsonl:1: expected the line of round 1"),
        (lambda f: spoil(f, "privacy.json", "[]"), "privacy.json: expected the privacy statement of a run"),
        (lambda f: spoil(f, "privacy.json", '{"mechanism": 1}'), "privacy.json: expected the privacy statement"),
        (lambda f: spoil(f, "held_out.parquet", "secret"), "held_out.parquet: expected the counts of a run's"),
    ],
)
def test_a_damaged_folder_is_said_in_one_line_without_its_content(damage, said, runs, tmp_path):
    folder = runs("run")
    damage(folder)
    with pytest.raises(InputError, match=r"expected .*, found ") as caught:
        compare_runs([folder])
    assert said in str(caught.value) and "secret" not in str(caught.value)


def test_a_summary_with_a_text_for_a_number_is_refused(runs):
    folder = runs("run")
    summary = json.loads((folder / "summary.json").read_text())
    spoil(folder, "summary.json", json.dumps({**summary, "epsilon": "secret"}))
    with pytest.raises(ConfigError, match=r"summary\.json: .* found another value as epsilon"):
        compare_runs([folder])


def test_counts_of_another_measurement_are_refused(runs):
    folder, other = runs("run"), runs("other", skill=0.2)
    shutil.copy(other / "held_out.parquet", folder)
    with pytest.raises(ConfigError, match=r"expected the counts that summary\.json was made of"):
        compare_runs([folder])


def test_an_unfinished_run_is_taken_only_if_asked_and_is_said(runs):
    folders = [runs("done"), runs("stopped", rounds=3, with_phones=False, privacy=BLT)]
    with pytest.raises(ConfigError, match=r"stopped: expected a finished run, found 3 of 4 rounds.*--allow-unfinished"):
        compare_runs(folders)
    found = compare_runs(folders, allow_unfinished=True)
    assert found.warnings == (f"unfinished, as of the last checkpoint: {folders[1]}",)
    assert "before the last round" in recall(found.measured[1]).why


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    one = runs("one")
    shutil.copytree(one, tmp_path / "same")
    (tmp_path / "loop").symlink_to("loop")
    for folders, how, said in (
        ([], {}, "at least one folder of a run, found none"),
        ([one, one], {}, "each folder once"),
        ([tmp_path / "loop"], {}, "the folder of a run"),
        ([one], {"reference": str(tmp_path / "loop")}, "--reference: expected one of the runs"),
        ([one, tmp_path / "same"], {}, "runs that differ in a setting or the seed"),
        ([one], {"by": ["engine.workers"]}, "a setting that may change results, found engine.workers"),
        ([one], {"by": ["mechanism"]}, "did you mean privacy.mechanism?"),
        ([one], {"reference": "tree"}, "--reference: expected one of the runs, or of the groups"),
    ):
        with pytest.raises(ConfigError) as caught:
            compare_runs(folders, **how)
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match="runs: expected a list"):
        studies.compare_runs(str(one))
    with pytest.raises(ConfigError, match="by: expected a list"):
        studies.compare_runs([one], by="seed")


def test_the_script_refuses_before_it_imports_anything_heavy(tmp_path):
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts/compare_runs.py"), str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "expected the folder of a run, found no such folder" in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "ray", "flwr", "matplotlib", "pyarrow", "scipy.special"}
