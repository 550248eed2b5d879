"""Whole runs in which the server learns sums alone: the same weights, and nothing of a phone in what they leave."""

import io
import json
import shutil
import signal
import sys
import zipfile

import numpy as np
import pytest

from server_strategy.privacy.statement_aggregation import trust_model
from simulation.engine import phone_secret
from simulation.engine.phone_steps import Masks
from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.report.page import write_report
from simulation.run.aggregation_told import aggregation_facts
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.start import start
from simulation.studies.privacy_check import checked
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess, GridInProcess
from tests.simulation.killed_driver import IN_THE_STEPS
from tests.waiting import PATIENCE_S

FLAGS = (*WEIGHTS_ONLY, "--rounds", 2, "--privacy.clip-quantile", 0.5)
MASKED = ("--aggregation.protocol", "secagg", "--engine.devices-per-message", 1)


class Heard(GridInProcess):
    """Remembers what the hosts are sent and what they answer."""

    def __init__(self):
        super().__init__()
        self.sent, self.answers = [], []

    def push_messages(self, messages):
        pushed = list(super().push_messages(some := list(messages)))
        self.sent += some
        self.answers += [self._answers[one] for one in pushed]
        return pushed


class Engine(EngineInProcess):
    def __init__(self):
        self.grid = Heard()

    def run(self, body):
        return body(self.grid)


def play(*flags):
    """(what was heard, what was printed) in a run."""
    parsed, printed, engine = parse_simulate([str(one) for one in flags]), io.StringIO(), Engine()
    start(parsed.run, Parts(), printed, parsed.resume is not None, engine)
    return engine.grid, printed.getvalue()


class Files:
    """Of a run in `folder`."""

    def read(self, name):
        return json.loads((self.folder / name).read_text())

    def lines(self):
        return [json.loads(line) for line in (self.folder / "rounds.jsonl").read_text().splitlines()]


class Run(Files):
    """A run, and, where vectors are masked, what they were before, by phone, and the secret of the phones."""

    def __init__(self, folder, *flags):
        self.folder, self.vectors, self.secrets = folder, [], set()
        masked, told = Masks.masked, phone_secret.with_phone_secret

        def seen(masks, number, vector):
            self.vectors.append(vector)
            return masked(masks, number, vector)

        def known(content, secret):
            self.secrets.add(secret.key)
            return told(content, secret)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Masks, "masked", seen)
            patch.setattr(phone_secret, "with_phone_secret", known)
            self.heard, self.printed = play(*FLAGS, *flags, "--output-dir", folder)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("without") / "run")


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("masked") / "run", *MASKED)


def test_weights_reports_and_costs_are_those_of_a_server_that_is_told_everything(without, masked):
    names = ("weights_sha256", "reports", "tokens", "clip_norm", "clipped_share", "epsilon", "reported", "top1_recall")
    assert len(masked.lines()) == 2
    for one, other in zip(without.lines(), masked.lines(), strict=True):
        assert {name: one.get(name) for name in names} == {name: other.get(name) for name in names}
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert "aggregation" not in one and other["aggregation"]["protocol"] == "secagg"
        assert other["aggregation"]["mean_update_norm"] > 0
    assert without.read("summary.json")["weights_sha256"] == masked.read("summary.json")["weights_sha256"]


def contents(folder):
    """The bytes of every file of a run, of what is packed in it too."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield content
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as inside:
                yield from (inside.read(name) for name in inside.namelist())


def in_records(messages):
    """(arrays, bytes and texts) of messages."""
    arrays, texts = [], []
    for message in messages:
        arrays += [a.numpy() for record in message.content.array_records.values() for a in record.values()]
        for record in (*message.content.config_records.values(), *message.content.metric_records.values()):
            for value in record.values():
                each = value if isinstance(value, list) else [value]
                texts += [one if isinstance(one, bytes) else str(one).encode() for one in each]
    return arrays, texts


def test_nothing_that_passes_through_the_driver_bares_a_single_update(masked):
    """Messages, checkpoints and all other files, and what is printed; each message has one phone."""
    assert len(masked.vectors) == 16 and len(masked.secrets) == 1
    arrays, texts = in_records([*masked.heard.sent, *masked.heard.answers])
    for path in (masked.folder / "checkpoints").glob("*.npz"):
        with np.load(path) as stored:
            arrays += [stored[name] for name in stored.files]
    files = [*contents(masked.folder), masked.printed.encode()]
    sums = [array.ravel() for array in arrays if array.dtype == np.int64 and array.size == masked.vectors[0].size]
    assert len(sums) == 16
    for vector in masked.vectors:
        alike = [np.mean((array ^ vector) & (2**40 - 1) == 0) for array in sums]
        assert max(alike) < 0.01  # masked, coordinate by coordinate
        some = vector[np.flatnonzero(vector)[:8]].tobytes()
        assert not any(some in content for content in (*texts, *files))
        update = vector[:-4].astype(np.float64)
        for array in arrays:
            if array.dtype.kind == "f" and array.size == update.size and np.any(array):
                assert abs(np.corrcoef(array.ravel(), update)[0, 1]) < 0.95
    (key,) = masked.secrets
    for content in (*files, *in_records(masked.heard.answers)[1]):
        assert key not in content and key.hex().encode() not in content
    for answer in masked.heard.answers:
        if answer.metadata.message_type == "train":
            assert set(answer.content["metrics"]) == {"phone-ids", "rejected-ids", "failed-ids"}


def test_what_is_known_of_no_group_is_null_and_says_why(without, masked):
    told, summed = without.read("participation.json"), masked.read("participation.json")
    assert all(row["share_of_tokens"] is not None for row in told["by_group"]) and "not_shown" not in told
    assert all(row["share_of_tokens"] is None for row in summed["by_group"])
    assert {row["grouping"] for row in summed["by_group"]} == {"device tier", "time zone", "time eligible"}
    assert all("learns sums over a round's phones alone" in why for why in summed["not_shown"].values())
    assert summed["overall"] == told["overall"]
    folders = [run.folder / "checkpoints" for run in (without, masked)]
    stored = [load_newest_checkpoint(folder)[0].state["tokens_by_phone"] for folder in folders]
    assert stored[0].any() and not stored[1].any()


def test_the_statement_says_who_sees_what_and_can_be_checked(without, masked):
    told, summed = without.read("privacy.json"), masked.read("privacy.json")
    assert "aggregation" not in told and "aggregation" not in told["facts"]
    assert summed["trust_model"] == trust_model({"protocol": "secagg"}, "") != told["trust_model"]
    page = (masked.folder / "privacy.md").read_text()
    said = summed["aggregation"]
    for text in (*said["who_sees_what"].values(), *said["assumed"], *said["not_shown_by_a_simulation"]):
        assert text in page
    assert (said["neighbours"], said["least_survivors"]) == (7, 7)  # 8 phones, of which 80 % have to report
    assert "the norm of each phone's update" not in page and "with --aggregation.protocol" in page
    assert "the norm of each phone's update" in (without.folder / "privacy.md").read_text()
    assert not checked(masked.folder)[1].wrongs


@pytest.mark.parametrize("protocol", ["none", "arithmetic", "secagg"])
def test_what_a_statement_is_told_follows_from_the_settings(protocol):
    config = parse_simulate(["--aggregation.protocol", protocol]).run
    facts = aggregation_facts(config)
    assert (facts or {}).get("protocol") == (None if protocol == "none" else protocol)
    assert facts == json.loads(json.dumps(facts))


def test_the_outcome_says_what_became_of_the_sums(without, masked, tmp_path):
    told = masked.read("summary.json")["aggregation"]
    assert "aggregation" not in without.read("summary.json")
    assert (told["protocol"], told["rounds_with_a_sum"], told["rounds_failed"]) == ("secagg", 2, {})
    assert (told["phones_in_sums"], told["phones_recovered"], told["messages_refused"]) == (16, 0, 0)
    vector = 6 * masked.vectors[0].size  # 48 bits a number
    assert vector < told["phone_up_bytes"] < vector + 3_000 and 0 < told["phone_down_bytes"] < 6_000
    pages = {}
    for run in (without, masked):
        folder = shutil.copytree(run.folder, tmp_path / run.folder.parent.name)
        pages[run] = write_report(folder).read_text()
    assert "How their updates were added up" not in pages[without]
    assert "The server learned the sum of each round alone" in pages[masked]
    assert f"{told['phone_up_bytes'] / 1e6:,.2f} MB" in pages[masked].replace("\N{NO-BREAK SPACE}", " ")


CROWD = ("--rounds", 1, "--cohort.goal", 64, "--fleet.size", 2000, "--engine.devices-per-message", 8)
LEAVING = ("--aggregation.step-latency-s", 60)  # in which some of the 64 leave


@pytest.mark.slow
def test_arithmetic_and_masks_give_the_same_bits_records_and_counts_at_64_phones(tmp_path):
    runs = {
        protocol: Run(tmp_path / protocol, *CROWD, "--aggregation.protocol", protocol, *LEAVING)
        for protocol in ("arithmetic", "secagg")
    }
    lines = [[_without_times(line) for line in run.lines()] for run in runs.values()]
    assert lines[0] == lines[1] and len(lines[0]) >= 1
    took = lines[0][-1]["aggregation"]["took"]
    assert took["invited"] == 64 > took["mask"] > lines[0][-1]["aggregation"]["least_survivors"]
    for name in (
        "weights_sha256",
        "epsilon",
        "devices_trained",
        "tokens_trained",
        "participation",
        "simulated_seconds",
    ):
        assert runs["arithmetic"].read("summary.json")[name] == runs["secagg"].read("summary.json")[name], name
    told, other = (run.read("summary.json")["aggregation"] for run in runs.values())
    assert {**told, "protocol": ""} == {**other, "protocol": ""} and told["phones_in_sums"] == took["mask"]
    assert runs["arithmetic"].read("participation.json") == runs["secagg"].read("participation.json")
    assert len(runs["secagg"].vectors) >= took["mask"] and not runs["arithmetic"].vectors


def _without_times(line):
    """A line of rounds.jsonl, but for the clock of this machine and the protocol's name."""
    protocol = {**line["aggregation"], "protocol": ""} if "aggregation" in line else None
    times = ("train_seconds", "tokens_per_second", "aggregation")
    return {**{name: value for name, value in line.items() if name not in times}, "aggregation": protocol}


@pytest.mark.slow
def test_a_run_that_is_killed_before_a_sum_is_unmasked_goes_on_to_the_same_bits(without, tmp_path):
    """The second round is played again under the same number, by phones with other keys."""
    folder, flags = tmp_path / "run", [str(one) for one in (*FLAGS, *MASKED)]
    command = [sys.executable, "-m", "tests.simulation.killed_driver", IN_THE_STEPS, "2", *flags]
    command += ["--output-dir", str(folder)]
    done = run_forked(command, cwd=ROOT, timeout=PATIENCE_S)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len((folder / "rounds.jsonl").read_text().splitlines()) == 1
    play("--resume", folder)
    summary, whole = json.loads((folder / "summary.json").read_text()), without.read("summary.json")
    for name in ("weights_sha256", "epsilon", "devices_trained", "tokens_trained"):
        assert summary[name] == whole[name], name
    assert summary["aggregation"]["rounds_with_a_sum"] == 2


@pytest.mark.slow
def test_a_run_that_goes_on_from_its_first_round_comes_to_the_same(masked, tmp_path):
    again = tmp_path / "run"
    shutil.copytree(masked.folder, again)
    for path in (again / "checkpoints").glob("checkpoint-*2.npz"):
        path.unlink()
    play("--resume", again)
    summaries = [json.loads((at / "summary.json").read_text()) for at in (masked.folder, again)]
    for name in ("weights_sha256", "epsilon", "devices_trained", "tokens_trained"):
        assert summaries[0][name] == summaries[1][name], name


@pytest.mark.slow
def test_workers_of_rays_come_to_the_same(simulate, without, tmp_path):
    flags = (*FLAGS, "--aggregation.protocol", "secagg", "--engine.workers", 2, "--output-dir", tmp_path / "run")
    simulate(*flags)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["weights_sha256"] == without.read("summary.json")["weights_sha256"]
