"""Who withdraws in the steps of secure aggregation, in a run with real keys, shares and masks."""

import json

import numpy as np
import pytest

from client_model.text.population import phone_labels
from client_model.text.synthetic_text import SyntheticPopulation
from server_strategy.privacy.ledger_lines import decode_labels
from simulation.flags import parse_simulate
from simulation.run.checkpoint import newest_about
from simulation.run.preparation import prepare
from tests.simulation.test_buckets_in_a_run import TINY
from tests.simulation.test_sums_alone import Files, play

PHONES, SEED = 900, 2  # as TINY has them
STEPPED = (
    *(*TINY, "--rounds", 2, "--cohort.goal", 6, "--cohort.minimum-report-share", 0.5),
    *("--aggregation.step-latency-s", 60, "--cohort.min-separation-rounds", 1),
)


def consents(path, withdrawals):
    """Everybody agrees from the beginning; some withdraw, by number, at a second of the fleet's clock."""
    lines = [f"#{phone},train,0,given" for phone in range(PHONES)]
    lines += [f"#{phone},train,{at_s},withdrawn" for phone, at_s in withdrawals.items()]
    path.write_text("\n".join(["phone,purpose,time_s,consent", *lines]) + "\n")
    return "--consent.path", path


@pytest.fixture(scope="module")
def withdrawals(tmp_path_factory):
    """When one phone withdraws of the first round, before vectors are there, and one of the second, after; planned."""
    path, found = tmp_path_factory.mktemp("planned") / "said.csv", {}
    for before_the_sum_s in (150.0, 20.0):
        flags = (*STEPPED, "--aggregation.protocol", "arithmetic", *consents(path, found))
        prepared = prepare(parse_simulate([str(flag) for flag in flags]).run)
        world, may = prepared.open_world(), np.zeros(PHONES, bool)
        may[prepared.training_phones] = True
        plan = [world.plan_round(number, may) for number in range(1, len(found) + 2)][-1]
        found[int(plan.reporters[0])] = plan.funnel.closed_s - before_the_sum_s
    return found


class Run(Files):
    def __init__(self, folder, protocol, said):
        self.folder = folder / protocol
        self.heard, _ = play(*STEPPED, "--aggregation.protocol", protocol, *said, "--output-dir", self.folder)

    def asked(self, kind):
        """Phones of each message of a kind."""
        sent = [one for one in self.heard.sent if one.metadata.message_type == kind]
        return [phone for one in sent for phone in one.content["config"]["phone-ids"]]


def test_a_withdrawal_before_the_vectors_is_not_in_the_sum_and_after_them_nothing_is_unmasked(tmp_path, withdrawals):
    early, late = withdrawals
    said = consents(tmp_path / "said.csv", withdrawals)
    masked = Run(tmp_path, "secagg", said)
    first, second, third = masked.lines()
    assert (first["abandoned"], first["reports"], first["left_withdrawn"]) == (None, 5, 1)
    assert first["left_share"] + first["left_mask"] == 1  # it had advertised its keys
    assert early in masked.asked("query.aggregation_step") and early not in masked.asked("train")
    assert second["aggregation_failed"] == "withdrawn" and second["reports"] == 0 and second["left_withdrawn"] == 1
    assert second["weights_sha256"] == first["weights_sha256"] != third["weights_sha256"]
    assert late not in masked.asked("train")

    labels = phone_labels(
        newest_about(masked.folder / "checkpoints")["salt"], SyntheticPopulation(SEED, PHONES).digests()
    )
    number_of = {int(label, 16): number for number, label in enumerate(labels)}
    ledger = map(json.loads, (masked.folder / "privacy_ledger.jsonl").open())
    lists = [decode_labels(line["participants"]) for line in ledger if "participants" in line]
    took_part = [{number_of[label] for label in one.tolist()} for one in lists]
    assert len(took_part) == 2 and len(took_part[0]) == 5
    assert early not in set.union(*took_part) and late not in set.union(*took_part)  # it had only the one invitation

    told = Run(tmp_path, "arithmetic", said)  # whose server adds up what it is told, phone by phone
    for one, other in zip(masked.lines(), told.lines(), strict=True):
        for name in ("weights_sha256", "reports", "left_withdrawn", "aggregation_failed", "tokens", "loss"):
            assert one.get(name) == other.get(name), name
