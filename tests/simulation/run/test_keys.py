"""Every value that a run leaves anywhere has a row, and every row has a value."""

import json
from dataclasses import asdict, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from client_model.metrics.counting_baselines import Baselines
from client_model.metrics.table import metric_table
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.protected_sum import ProtectedSum
from server_strategy.privacy.statement_audit import ReleaseAudit, Within
from server_strategy.protocol import TrainReply
from server_strategy.protocol_of_sums import SummedReply
from simulation.flags import read_config, result_settings
from simulation.run import keys
from simulation.run.artefacts import ARTEFACTS, BESIDE, artefact_of
from simulation.run.central import CentralTrained
from simulation.run.checkpoint import flattened, load_newest_checkpoint, newest_about
from simulation.run.files_statement import HEADING
from simulation.run.keys import dotted_keys, row_of
from simulation.run.records import RoundRecord, Summary
from simulation.run.sources import Guarantee
from simulation.run.statement_pages import statement_pages
from simulation.run.trackers.values import round_values
from simulation.studies.audits.audit import Audit
from simulation.studies.personalisation import PhoneGroup
from simulation.world.aggregation_steps import SteppedFunnel
from simulation.world.participation import Participation
from simulation.world.policies.buffered import BufferedFunnel
from tests.server_strategy.privacy.test_protected_sum import make_plan
from tests.server_strategy.privacy.test_statement import FACTS, statement
from tests.simulation.studies.audits.test_attack import attack

METRICS = metric_table()
ROWS = [{"tokens_before": "0", "positions": 1, "top1_recall": 0.5, "top3_recall": 0.5}]
MEASURED = {metric.name: ROWS if metric.unit == "rows" else 0.5 for metric in METRICS.metrics}
NAMES = {f.name for f in fields(PhoneGroup)}
PROFILED = {f"profile.{name}" for name in ("driver_s.plan", "hosts", "worker_s.train")}
ROUND = {
    *(f.name for f in fields(RoundRecord) if f.name not in ("funnel", "held_out", "profile", "failed")),
    "aggregation.mean_update_norm",
    "aggregation.protocol",
    "aggregation.wrapped_coordinates",
    *(f.name for f in (*fields(BufferedFunnel), *fields(SteppedFunnel))),
    *("failed", "failed.0123456789abcdef", "profile", *MEASURED, *dotted_keys(MEASURED), *PROFILED),
}
SUMMED = {
    *(f.name for f in fields(Summary) if f.name not in ("held_out", "baselines", "participation")),
    *(f"baseline_{name}" for name in Baselines._fields),
    *(f"participation.{f.name}" for f in fields(Participation)),
    *dotted_keys(MEASURED),
    *MEASURED,
    *("aggregation.protocol", "aggregation.rounds_failed.no_sum"),
    "consent.train_share",
    "handed_in.server_optimizer",
    *("other_runs", "other_runs.data", "other_runs.earlier_runs.data", "other_runs.says"),
}
LINE = {
    **dict.fromkeys((f.name for f in fields(RoundRecord)), 1.0),
    **dict.fromkeys((f.name for f in fields(BufferedFunnel)), 1.0),
    **MEASURED,
    "rejected": ["a"],
    "failed": {"b": "ValueError"},
    "epsilon_is_of": "this run",
    "profile": {"driver_s": {"plan": 1.0}},
}


def fit(found, rows, metrics=METRICS):
    """Every key has a row, and every pattern of every row a key."""
    assert found
    for key in sorted(found):
        assert row_of(key, rows, metrics) is not None, key
    assert unused(found, rows, metrics) == []


def unused(found, rows, metrics=METRICS):
    """Names in the rows that nothing has."""

    def has_a_key(row, name):
        patterns = list(keys.patterns(row._replace(names=(name,)), metrics))
        return any(fnmatchcase(key, pattern) for key in found for pattern in patterns)

    return [name for row in rows for name in row.names if not has_a_key(row, name)]


def test_what_is_made_of_dataclasses_has_a_row_for_each_field_and_no_other():
    fit(SUMMED, keys.SUMMARY)
    fit(ROUND, keys.ROUNDS)
    fit({f.name for f in fields(TrainReply)}, keys.RECEIVED)
    fit({f.name for f in fields(SummedReply)}, keys.RECEIVED_SUMS)
    fit({f.name for f in fields(SummedReply)}, keys.RECEIVED_NOISED)
    fit(dotted_keys(asdict(CentralTrained(2, 0.1, MEASURED))), keys.CENTRAL)
    release = ReleaseAudit("ab", "cd", False, (Within("some: figure", 1.0, True),))
    audits = [Audit(0, False, "ab", (attack(details={"canaries": 7}),), "ef", one) for one in (None, release)]
    fit({key for audit in audits for key in dotted_keys(audit.to_json())}, keys.AUDIT)
    groups = {f"groups.{name}" for name in NAMES}
    fit(
        {*groups, "phones", "phones_with_too_little_text", "phones_without_consent", "rule", "fine_tuning.epochs"},
        keys.PERSONALISATION,
    )
    fit({"phone", *METRICS.counters}, keys.HELD_OUT_PHONES)


@pytest.mark.parametrize("mechanism", ["gaussian", "blt", "none"])
def test_what_a_statement_says_has_a_row(mechanism):
    own = {} if mechanism == "none" else {"clip_quantile": 0.5, "modelled": 4000}
    plan, spent, _, _ = statement(mechanism, **own)
    release = ReleaseAudit("ab", "cd", False, (Within("some: figure", 1.0, True),))
    content, _ = statement_pages(plan, spent, replace(FACTS, audit=release))
    assert {key for key in dotted_keys(content) if row_of(key, keys.STATEMENT, METRICS) is None} == set()


def test_a_metric_that_is_added_has_its_row():
    class Own:
        name, unit, counts, scalar_tag = "own", "number", {"own-count": None}, "held_out/own"

    class Table:
        metrics, counters = (Own,), {"own-count": None}

    for key, rows in (("own", keys.SUMMARY), ("own", keys.ROUNDS), ("own-count", keys.HELD_OUT_PHONES)):
        assert row_of(key, rows, METRICS) is None
        assert row_of(key, rows, Table).source.guarantee is Guarantee.NOT_COVERED


def test_every_tag_that_trackers_are_told_has_a_row():
    told = {*round_values(LINE, METRICS)}
    told |= {"figures/recall", "figures/epsilon", "_hparams_/session_start_info"}
    fit(told, keys.CURVES)


def test_what_depends_on_phones_is_covered_only_if_it_was_released():
    """What is told as covered is the weights, the clip norm and what follows from them, and nothing else."""
    tables = [
        value for value in vars(keys).values() if isinstance(value, tuple) and value and isinstance(value[0], keys.Keys)
    ]
    covered = {n for rows in tables for row in rows if row.source.guarantee is Guarantee.COVERED for n in row.names}
    assert covered == {
        *(
            "weights_sha256",
            "facts.weights_sha256",
            "clip_norm",
            "training/clip_norm",
            "weights",
            "strategy/noise/clip_norm",
        ),
        *("strategy/optimizer/*", "strategy/versions/*", "vectors.expected.*"),
        *("*.bytes", "*.sha256", "*.weights_sha256", "files.model/weights.npz"),
    }
    for key in ("loss", "tokens", "clipped_share", "rejected", "failed.abc", "abandoned"):
        assert row_of(key, keys.ROUNDS, METRICS).source.guarantee is Guarantee.NOT_COVERED
    for rows in (keys.STATEMENT, keys.CARD):
        assert row_of("audit.within.figure", rows, METRICS).source.guarantee is Guarantee.NOT_COVERED
    for key in ("baseline_bigram_top1", "tokens_trained", "top1_recall", "skipped_lines", "tokens_per_second"):
        assert row_of(key, keys.SUMMARY, METRICS).source.guarantee is Guarantee.NOT_COVERED


def tags_in(folder: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    events = (Event.FromString(one) for file in folder.iterdir() for one in RawEventFileLoader(str(file)).Load())
    return {value.tag for event in events for value in event.summary.value}


def read(folder: Path) -> dict[str, tuple[set[str], tuple[keys.Keys, ...]]]:
    """Keys of each file of a run's folder, and the rows that have to name them."""
    from pyarrow import parquet

    from simulation.device.model_card import read_inside

    content = {path.name: dotted_keys(json.loads(path.read_text())) for path in folder.glob("*.json")}
    lines = {name: set() for name in ("rounds.jsonl", "privacy_ledger.jsonl", "audit_trail.jsonl")}
    for name, found in lines.items():
        for line in (folder / name).read_text().splitlines():
            found |= dotted_keys(json.loads(line))
    stored, about = load_newest_checkpoint(folder / "checkpoints")[0], newest_about(folder / "checkpoints")
    cards = [dotted_keys(read_inside(path, path.read_bytes())[0]) for path in folder.glob("model/*.tflite")]
    arrays = {*flattened(stored.state), *(f"about.{key}" for key in dotted_keys(about))}
    columns = {name: set(parquet.read_schema(folder / name).names) for name in ("rounds.parquet", "held_out.parquet")}
    tables = {
        "summary.json": (content["summary.json"], keys.SUMMARY),
        "privacy.json": (content["privacy.json"], keys.STATEMENT),
        "privacy_head.json": (content["privacy_head.json"], keys.HEAD),
        "participation.json": (content["participation.json"], keys.PARTICIPATION),
        "rounds.jsonl": (lines["rounds.jsonl"], keys.ROUNDS),
        "rounds.parquet": (columns["rounds.parquet"], keys.ROUNDS),
        "held_out.parquet": (columns["held_out.parquet"], keys.HELD_OUT_PHONES),
        "privacy_ledger.jsonl": (lines["privacy_ledger.jsonl"], keys.LEDGER),
        "audit_trail.jsonl": (lines["audit_trail.jsonl"], keys.TRAIL),
        "checkpoints": (arrays, keys.CHECKPOINTS),
        "tensorboard": (tags_in(folder / "tensorboard"), keys.CURVES),
        "config.toml": (set(result_settings(read_config(folder / "config.toml"))), keys.CONFIG),
    }
    if (folder / "central.json").exists():
        tables["central.json"] = content["central.json"], keys.CENTRAL
    if cards:
        of_files = json.loads((folder / "model" / "manifest.json").read_text())
        vectors = json.loads((folder / "model" / "test_vectors.json").read_text())
        tables |= {
            "card": (set().union(*cards), keys.CARD),
            "manifest": (dotted_keys(of_files), keys.MANIFEST),
            "test_vectors.json": (dotted_keys(vectors), keys.VECTORS),
        }
    return tables


def checkpoint_under_way() -> set[str]:
    """What a checkpoint has of the noise before a run has ended, and its noise is forgotten."""
    protected = ProtectedSum(make_plan("blt"), NoiseKey.fresh())
    protected.release(np.zeros(3), 8, 4)
    return set(flattened({"strategy": {"noise": protected.state()}}))


@pytest.mark.slow
def test_every_key_of_real_runs_has_a_row_and_every_row_a_key(straight, planted):
    found: dict[str, set[str]] = {}
    for folder in (straight[0], planted / "run"):
        for name, (own, rows) in read(folder).items():
            for key in own:
                assert row_of(key, rows, METRICS) is not None, f"{name}: {key}"
            found[name] = found.get(name, set()) | own
        told = json.loads((folder / "privacy.json").read_text())["files"]
        named = {name for one in told if not one["if_a_script_writes_it"] for name in one["files"]}
        there = {one.name for one in ARTEFACTS if any(folder.glob(one.name.rstrip("/")))}
        assert named - {one.name for one in BESIDE} == there  # what the run really has, and nothing else
        page = (folder / "privacy.md").read_text().partition(HEADING)[2]
        assert all(f"`{name}`" in page for name in there)
        for path in (*folder.glob("*"), *folder.glob("model/*")):
            place = PurePosixPath(path.relative_to(folder).as_posix())
            assert artefact_of(place) is not None or str(place) == "model", place
    written = {
        one.name for at in (straight[0], planted / "run") for one in ARTEFACTS if any(at.glob(one.name.rstrip("/")))
    }
    found["checkpoints"] |= checkpoint_under_way() | {"strategy/noise/forgotten"}  # where the secret is not kept
    # Of a run that forgets phones.
    found["checkpoints"] |= {f"about.began.{name}" for name in ("life", "noise_life", "went_back", "record_lines")}
    found["privacy_ledger.jsonl"] |= {"forgotten", "record_lines"}
    scripts = {
        "model/manifest.sig",
        "privacy_head.sig",
        "release_signatures.json",
        "model/release_signatures.json",
        "personalisation.json",
        "personalisation.png",
        "audit.json",
        "audit.html",
        "assessment.json",
        "assessment.html",
        "assessment.md",
        "words_told.png",
        "memorisation.png",
        "memorisation_groups.png",
        "membership.png",
        "poison.png",
    }
    scripts |= {"deletions.jsonl", "forgotten.jsonl", "storage_key.json"}  # the last only of a run with a storage key
    assert {one.name for one in ARTEFACTS} - written == scripts | {"mlflow/", "wandb/"}
    found["participation.json"].add("consent.origin")  # where owners may refuse
    found["participation.json"] |= {"not_shown.why", "text"}  # with --aggregation.protocol, which has null as text
    found["privacy_ledger.jsonl"] |= {"sum", "vectors_digest"}  # where phones add the noise
    found["card"].add("privacy.statement_with_earlier_runs")  # of a run that starts from another one
    found["card"].add("audit.quick")  # of a release that an audit allowed
    for name in (
        "audit_trail.jsonl",
        "checkpoints",
        "card",
        "manifest",
        "test_vectors.json",
        "privacy_ledger.jsonl",
        "participation.json",
    ):
        assert unused(found[name], read(straight[0])[name][1]) == [], name
