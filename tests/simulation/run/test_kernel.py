"""A run has the kernel that its folder names from its first round to its last, and another only if it is told to."""

import io
import re
import shutil
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest

from client_model.learning import trainers
from client_model.learning.native.available import is_built
from client_model.learning.padded_batches import Group
from server_strategy.privacy.ledger_lines import read_ledger
from simulation.flags import parse_simulate, read_config
from simulation.parts import Parts
from simulation.run import going_on, outcome
from simulation.run.checkpoint import numbered
from simulation.run.directory import RunDirectory
from simulation.run.kernel import for_reading, kernels_of, with_kernel
from simulation.run.preparation import prepare
from tests.simulation.run.forgotten_runs import SMALL, played_on, simulate
from tests.simulation.run.test_lifecycle import open_run as opened
from typefleet.errors import ConfigError

FLAGS = (*SMALL, "--rounds", 2)
native = pytest.mark.skipif(not is_built(), reason="the native kernel is not built: no C compiler at installation")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """runs(kernel): the folder of a run with it, played once."""
    played = {}

    def folder_of(kernel):
        if kernel not in played:
            played[kernel] = tmp_path_factory.mktemp("runs") / kernel
            simulate(played[kernel], *FLAGS, "--engine.kernel", kernel)
        return played[kernel]

    return folder_of


def kernels_named_in(folder):
    directory = RunDirectory(folder)
    return read_config(directory.config).engine.kernel, directory.read_summary().kernel


def digest_of(folder):
    return RunDirectory(folder).read_summary().weights_sha256


def resume_with(folder, *flags):
    stream = io.StringIO()
    played_on(parse_simulate(["--resume", str(folder), *flags]).run, stream)
    return stream.getvalue()


def without_kernel_in(config):
    """As an earlier version wrote it."""
    config.write_text(re.sub(r"^kernel = .*\n", "", config.read_text(), flags=re.MULTILINE))


@native
def test_a_run_names_the_kernel_that_it_has_and_kernels_agree(runs):
    assert kernels_named_in(runs("auto")) == kernels_named_in(runs("native")) == ("native", "native")
    assert kernels_named_in(runs("tensorflow")) == ("tensorflow", "tensorflow")
    assert digest_of(runs("auto")) == digest_of(runs("native")) != digest_of(runs("tensorflow"))
    weights = []
    for kernel in ("native", "tensorflow"):
        with np.load(runs(kernel) / "model" / "weights.npz") as arrays:
            weights.append(np.concatenate([arrays[name].ravel() for name in arrays.files]))
    assert np.linalg.norm(weights[0] - weights[1]) < 1e-4 * np.linalg.norm(weights[0])


@native
@pytest.mark.parametrize("flags", [(), ("--engine.kernel", "auto")])
def test_a_run_is_resumed_with_the_kernel_that_it_has(runs, tmp_path, flags):
    for kernel in ("native", "tensorflow"):
        simulate(tmp_path / kernel, *FLAGS, "--engine.kernel", kernel, stop_after=1)
        resume_with(tmp_path / kernel, *flags)
        assert kernels_named_in(tmp_path / kernel) == (kernel, kernel)
        assert digest_of(tmp_path / kernel) == digest_of(runs(kernel))


@native
def test_a_run_that_is_resumed_with_another_kernel_keeps_that(runs, tmp_path):
    folder = tmp_path / "run"
    simulate(folder, *FLAGS, "--engine.kernel", "native", stop_after=1)
    before = (folder / "config.toml").read_text()
    said = resume_with(folder, "--engine.kernel", "tensorflow")
    assert "tensorflow from here on, native before" in " ".join(said.split())
    assert kernels_named_in(folder) == ("tensorflow", "tensorflow")
    assert (folder / "config.toml").read_text() == before.replace('kernel = "native"', 'kernel = "tensorflow"')
    assert digest_of(folder) not in (digest_of(runs("native")), digest_of(runs("tensorflow")))
    assert kernels_of(RunDirectory(folder).read_rounds()) == [("native", 1), ("tensorflow", 2)]  # of the switch
    config = read_config(folder / "config.toml")
    assert prepare(config, of_run=folder).task.kernel == "tensorflow"  # as audits and studies of the run have it


@native
def test_a_run_that_is_over_keeps_the_kernel_that_it_had(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs("native"), folder)
    before = (folder / "config.toml").read_bytes()
    resume_with(folder, "--engine.kernel", "tensorflow")
    assert (folder / "config.toml").read_bytes() == before
    assert kernels_named_in(folder) == ("native", "native")


def killed_after_a_round(folder, *flags):
    """A run of the native kernel with a release on record after its only checkpoint; gives epsilon of its plan."""
    plan = simulate(folder, *FLAGS, *flags, "--engine.kernel", "native", stop_after=1).strategy.plan
    for number, path in numbered(folder / "checkpoints").items():
        if number:
            path.unlink()
    return plan.epsilon


def shown_and_spent(folder, *flags):
    """(epsilon at most, as a resumed run says before its first round; what it comes to; all that it says)."""
    out = io.StringIO()
    played_on(parse_simulate(["--resume", str(folder), *flags]).run, out)
    said = " ".join(out.getvalue().split())
    (shown,) = re.findall(r"at most epsilon ([0-9.]+)", said)
    return float(shown), read_ledger(folder / "privacy_ledger.jsonl")[0][-1]["spent"]["epsilon"], said


@native
def test_a_bound_counts_what_another_kernel_pays_for_again(tmp_path):
    plan = killed_after_a_round(tmp_path / "run")
    shown, spent, said = shown_and_spent(tmp_path / "run", "--engine.kernel", "tensorflow")
    assert plan < spent <= shown and plan < shown - 0.01  # which is rounded up to two places
    assert "goes on with the kernel tensorflow, and not with the one before" in said
    assert "releases after its checkpoint count again, where" in said
    assert "the plan alone has epsilon" in said


@native
def test_a_bound_is_the_plans_where_the_same_kernel_goes_on(tmp_path):
    plan = killed_after_a_round(tmp_path / "run")
    shown, spent, said = shown_and_spent(tmp_path / "run")
    assert spent <= plan <= shown < plan + 0.01 and "count again" not in said and "alone has" not in said


WHO_MAY_HAVE = "or may have, what another kernel, another build of it or a copy of the folder released: releases after"


def killed_at(folder, number):
    """As if a run that is over had been killed before any checkpoint after this one, or these had been damaged."""
    for later, path in numbered(folder / "checkpoints").items():
        if later > number:
            path.unlink()
    (folder / "summary.json").unlink()


@native
@pytest.mark.parametrize(
    ("back_to", "told"),
    [(0, WHO_MAY_HAVE), (1, "goes on with the kernel native, and not with the one before")],
)
def test_a_bound_counts_what_another_kernel_put_on_record_before_it_was_killed(tmp_path, back_to, told):
    folder = tmp_path / "run"
    plan = simulate(folder, *FLAGS, "--engine.kernel", "native", stop_after=1).strategy.plan
    resume_with(folder, "--engine.kernel", "tensorflow")
    killed_at(folder, back_to)
    shown, spent, said = shown_and_spent(folder, "--engine.kernel", "native")
    assert plan.epsilon < spent <= shown
    assert told in said and "the plan alone has epsilon" in said


@native
def test_a_bound_counts_what_a_killed_run_would_have_paid_for_again(tmp_path):
    killed_after_a_round(tmp_path / "run")
    config = parse_simulate(["--resume", str(tmp_path / "run"), "--engine.kernel", "tensorflow"]).run
    opened(prepare(config, resume=True), resume=True).close()  # and it is killed before its first round
    shown, spent, said = shown_and_spent(tmp_path / "run", "--engine.kernel", "tensorflow")
    assert spent <= shown and "count again" in said and "the plan alone has epsilon" in said


@native
def test_a_bound_counts_what_a_copy_that_was_killed_put_on_record(tmp_path):
    here, copy = tmp_path / "run", tmp_path / "copy"
    secret = ("--privacy.noise-source", "secret", "--privacy.keep-noise-secret")
    plan = simulate(here, *FLAGS, *secret, "--engine.kernel", "native", stop_after=1).strategy.plan
    shutil.copytree(here, copy)
    assert "is a copy of the folder" in " ".join(resume_with(copy).split())
    killed_at(copy, 1)
    for path in (*sorted((copy / "checkpoints").iterdir()), copy / "privacy_ledger.jsonl"):  # all but the secret
        shutil.copy2(path, here / path.relative_to(copy))
    shown, spent, said = shown_and_spent(here)
    assert plan.epsilon < spent <= shown and "is a copy of the folder" in said


@native
def test_a_copy_that_was_killed_before_its_first_round_goes_on_by_the_same_kernel(tmp_path):
    secret = ("--privacy.noise-source", "secret", "--privacy.keep-noise-secret")
    killed_after_a_round(tmp_path / "run", *secret)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    config = parse_simulate(["--resume", str(tmp_path / "copy")]).run
    opened(prepare(config, resume=True), resume=True).close()
    shown, spent, said = shown_and_spent(tmp_path / "copy")  # in its own place now
    assert spent <= shown and "is a copy of the folder in which" not in said
    assert WHO_MAY_HAVE in said and "goes on with" not in said


@native
def test_a_bound_holds_for_a_checkpoint_that_names_no_kernel(tmp_path, monkeypatch):
    for name in ("KERNEL", "BITS"):
        monkeypatch.setattr(going_on, name, f"another_{name}")  # as an earlier version wrote it
    plan = killed_after_a_round(tmp_path / "run")
    monkeypatch.undo()
    shown, spent, said = shown_and_spent(tmp_path / "run")
    assert spent <= plan < shown - 0.01 and "other last bits than an earlier version had" in said


@native
def test_a_bound_holds_for_a_later_build_with_other_last_bits(tmp_path, monkeypatch):
    plan = killed_after_a_round(tmp_path / "run")
    monkeypatch.setitem(trainers._BITS, "native", 1_000)
    shown, spent, said = shown_and_spent(tmp_path / "run")
    assert spent <= plan < shown - 0.01 and "goes on with another build of the kernel native" in said
    assert {line["kernel_bits"] for line in RunDirectory(tmp_path / "run").read_rounds()} == {"1000"}
    assert RunDirectory(tmp_path / "run").read_summary().kernel_bits == "1000"


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([{"kernel": "native", "kernel_bits": "0"}, {"kernel": "tensorflow", "kernel_bits": "7"}], ("tensorflow", "7")),
        ([{"kernel": "tensorflow"}], ("tensorflow", None)),  # of a build that did not say
        ([{}], ("native", None)),  # of one that had no other kernel to tell of
        ([], ("native", trainers.bits_of("native"))),
    ],
)
def test_a_summary_names_what_trained_and_not_what_ends_a_run_that_is_over(finished, lines, told):
    task = SimpleNamespace(kernel="native", group=None)
    run = SimpleNamespace(
        finished=finished, prepared=SimpleNamespace(task=task), directory=SimpleNamespace(read_rounds=lambda: lines)
    )
    own = ("native", trainers.bits_of("native"))
    assert tuple(outcome._trained_by(run).values()) == (told if finished else own)


@pytest.mark.parametrize("kernel", ["native", "tensorflow"])
def test_what_goes_on_with_other_bits_is_told_what_differs(kernel):
    prepared = SimpleNamespace(task=SimpleNamespace(kernel=kernel, group=None))
    own = going_on.about_kernel(prepared)
    assert own["kernel"] == kernel and own["kernel_bits"] == trainers.bits_of(kernel)
    cases = [
        (own, None),
        ({**own, "kernel_bits": "0"}, "another build of"),
        ({**own, "kernel_bits": None}, "may have other last bits than the one before"),
        ({"kernel": kernel}, "may have other last bits than the one before"),
        ({}, "than an earlier version had"),
        ({**own, "kernel": "another"}, "not with the one before"),
        ({**own, "kernel": None}, "another kernel, another build of it or a copy"),  # by `claim_no_more`
        (going_on.about_kernel(prepared, behind=True), "another kernel, another build of it or a copy"),
    ]
    for about, what in cases:
        found = going_on.what_differs(SimpleNamespace(about=about), prepared)
        assert found is None if what is None else what in found, about


def test_phones_at_once_go_on_by_the_kernel_that_trains_them_whichever_scores():
    first, then = (
        SimpleNamespace(task=SimpleNamespace(kernel=k, group=Group(4, 8, "cpu"))) for k in ("native", "tensorflow")
    )
    assert going_on.what_differs(SimpleNamespace(about=going_on.about_kernel(first)), then) is None


def test_bits_of_a_kernel_on_tensorflow_name_its_version():
    assert trainers.bits_of("tensorflow").endswith(f" with TensorFlow {version('tensorflow')}")
    assert trainers.bits_of("native").isdigit()


def test_a_run_of_an_earlier_version_goes_on_with_the_kernel_that_there_was(runs, tmp_path):
    folder = tmp_path / "run"
    simulate(folder, *FLAGS, "--engine.kernel", "tensorflow", stop_after=1)
    without_kernel_in(folder / "config.toml")
    config = read_config(folder / "config.toml")
    assert config.engine.kernel == "auto" and with_kernel(config, Parts(), folder).engine.kernel == "tensorflow"
    resume_with(folder)
    assert digest_of(folder) == digest_of(runs("tensorflow"))


@native
def test_a_run_whose_kernel_is_not_here_is_refused_in_one_line_or_goes_on_without(runs, tmp_path, monkeypatch):
    folder, over = tmp_path / "run", runs("native")
    simulate(folder, *FLAGS, "--engine.kernel", "native", stop_after=1)
    monkeypatch.setattr(trainers, "is_built", lambda: False)
    monkeypatch.setattr("simulation.run.kernel.is_built", lambda: False)
    config = read_config(folder / "config.toml")
    named = rf"^{re.escape(str(folder))}/config\.toml: expected a machine with the native kernel, .*"
    way_out = rf"--resume {re.escape(str(folder))} --engine\.kernel tensorflow goes on without it$"
    with pytest.raises(ConfigError, match=named + way_out):
        resume_with(folder)
    with pytest.raises(ConfigError, match=named + way_out):  # as of what trains: audits, studies
        with_kernel(config, Parts(), folder)
    assert with_kernel(for_reading(config), Parts(), folder).engine.kernel == "tensorflow"  # of what does not: exports
    assert read_config(folder / "config.toml") == config  # nothing was written
    resume_with(folder, "--engine.kernel", "tensorflow")
    assert kernels_named_in(folder) == ("tensorflow", "tensorflow")
    with pytest.raises(ConfigError, match=r"found none$"):  # one that is over does not go on
        with_kernel(config, Parts(), over)


@native
def test_what_trains_nothing_reads_a_run_with_the_kernel_that_it_has_where_that_is(runs):
    config = read_config(runs("native") / "config.toml")
    assert for_reading(config) == config


@native
def test_no_host_trains_with_another_kernel_than_its_message_says(tmp_path, monkeypatch):
    """As on a cluster whose machines differ: the driver has it, a worker has not."""
    monkeypatch.setattr("simulation.engine.phone_host.make_trainer", _refusing)
    with pytest.raises(Exception, match=r"expected the native kernel.*--engine.kernel tensorflow"):
        simulate(tmp_path / "run", *FLAGS, "--engine.kernel", "native", "--seed", 77)


def _refusing(shape, max_gradient_norm, kernel, group, optimizer):
    assert kernel == "native"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainers, "is_built", lambda: False)
        return trainers.make_trainer(shape, max_gradient_norm, kernel, group, optimizer)
