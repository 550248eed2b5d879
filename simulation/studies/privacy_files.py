"""What the other files of a run's folder say of its releases, against its ledger and its statement.

A chain that somebody wrote anew, with participants that never took part, holds together as the true one does. What
tells it is what was written elsewhere: the weights that the last line led to, the settings, the rounds, who took part,
the head of the ledger in its own file and in the manifest, and a signature.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from client_model.public_start import RANDOM_START
from server_strategy.privacy.ledger import same_plan
from server_strategy.privacy.ledger_lines import is_bound, last_release, participants_of
from server_strategy.privacy.ledger_paths import way_to
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from simulation.config import RunConfig
from simulation.files import read_json_object
from simulation.flags import read_config
from simulation.run.aggregation_told import aggregation_facts
from simulation.run.artefacts import ARTEFACTS, artefacts_of
from simulation.run.directory import RunDirectory, stored_weights_sha256
from simulation.run.statement_pages import FACTS
from simulation.run.words_outside import origin_by_settings, says_what_is_outside
from simulation.studies.privacy_builds import WRITTEN_SINCE
from simulation.studies.privacy_evidence import STATEMENT, Evidence, same
from simulation.studies.privacy_findings import Findings
from simulation.studies.privacy_told import adds_up, are_plain, has_earlier_runs, is_of_source
from simulation.world.aggregation_settings import phones_add
from typefleet.errors import InputError
from typefleet.untrusted.archives import read_arrays
from typefleet.whole import is_whole

_NOT_THERE = "it is not there"
_ABOUT_STARTS = ("data", "vocabulary", "earlier_runs", "with_earlier_runs")  # of what is said of other runs


def check_weights(found: Evidence, findings: Findings) -> None:
    """The statement, the last line and the weights on disk name the same weights."""
    claimed, line = found.statement.get("weights_sha256"), found.entries[found.line]
    place, path = f"{STATEMENT}: weights_sha256", found.folder / "model" / "weights.npz"
    if found.line and is_bound(line):
        same = line["weights_sha256"] == claimed
        findings.agree(
            f"{found.ledger.name}:{found.line + 1}", same, "it led to the weights of the statement", "other weights"
        )
    if claimed is None:
        findings.not_checkable(place, "privacy.json names no weights, so none were compared with it")
    elif not path.exists():
        findings.not_checkable(place, "model/weights.npz is not there, so no weights were compared with privacy.json")
    else:
        stored = stored_weights_sha256(path)
        what = f"privacy.json is of other weights than model/weights.npz, which has {stored[:16]}..."
        findings.agree("model/weights.npz", stored == claimed, f"sha256 {stored[:16]}... of the numbers", what)
        if found.plan.phone_noise is not None:
            weights = sum(array.size for array in read_arrays(path, "the weights of a finished run").values())
            fits = weights <= found.plan.phone_noise.dimension
            what = f"no more weights than the noise of phones is accounted for, {found.plan.phone_noise.dimension:,}"
            findings.agree(f"{found.ledger.name}:1: phone_noise.dimension", fits, what, f"{weights:,} weights")


def check_end(found: Evidence, findings: Findings) -> None:
    """Nothing is on record beyond what the statement counts, once a run has ended."""
    last = last_release(found.entries)
    place = f"{STATEMENT}: spent.releases"
    if last > found.releases and found.ended and not _stopped_at(found):
        findings.wrong(place, f"privacy.json counts {found.releases} of the {last} releases that the ledger records")
    elif last > found.releases:
        findings.not_checkable(place, f"the run has not ended, and its ledger is ahead by {last - found.releases}")
    if not found.ended:
        return
    for number, what in (
        (found.spent.repeated_releases, "releases beside those of the weights"),
        (found.spent.unreleased_sums, "sums that the server learnt and could not release"),
    ):
        if number:
            findings.recomputed(found.ledger.name, f"{number} {what} are counted")


def _stopped_at(found: Evidence) -> bool:
    """Whether a budget ended the run before it could make the releases again that are on record beyond it."""
    return found.plan.epsilon_budget is not None and found.spent.repeated_releases > 0


def check_settings(found: Evidence, findings: Findings) -> None:
    """The plan in the ledger is the one that config.toml comes to; only the number of phones is the text's."""
    path = found.folder / "config.toml"
    if not path.exists():
        findings.not_checkable(f"{found.ledger.name}:1", "config.toml is not there: the plan is the ledger's own word")
        return
    try:
        config = read_config(path, begun=True)
        plan = found.plan
        scale = 1.0 if plan.modelled_cohort is None else plan.modelled_cohort / config.cohort.goal
        own = make_privacy_plan(
            config.cohort,
            config.privacy,
            rounds=config.rounds,
            num_phones=max(round(plan.population / scale), 1),
            momentum=config.server_optimizer.make().linear_momentum,
            counts_words=config.data.vocabulary_path is None and config.model.init in (None, RANDOM_START),
            phones_add=phones_add(
                config.privacy,
                config.aggregation,
                config.cohort,
                1 if plan.phone_noise is None else plan.phone_noise.dimension,
            ),
            begun=True,
        )
    except InputError as error:
        if not found.of_before:
            raise
        findings.not_checkable(
            f"{found.ledger.name}:1", f"config.toml is an earlier version's ({type(error).__name__})"
        )
        return
    _compare_plans(found, findings, own)
    if not found.of_before:
        _check_facts(found, findings, config)


def _compare_plans(found: Evidence, findings: Findings, own: PrivacyPlan) -> None:
    if found.of_before:
        unsaid = own.to_json().keys() - found.entries[0]["plan"].keys()
        own = replace(own, **{name: getattr(found.plan, name) for name in unsaid})
    recorded, planned = found.plan.to_json(), own.to_json()
    if same_plan(recorded, own):
        findings.recomputed(f"{found.ledger.name}:1", "the plan that config.toml comes to")
    else:
        others = [name for name in planned if not same_plan({**planned, name: recorded.get(name)}, own)]
        findings.wrong(f"{found.ledger.name}:1", f"config.toml comes to another {' and '.join(others) or 'plan'}")
    findings.not_checkable(
        f"{found.ledger.name}:1: population", "the number of phones is the text's, which is not read"
    )


def _check_facts(found: Evidence, findings: Findings, config: RunConfig) -> None:
    """The facts that the settings say as well: the files of the run, its words, whose text it is."""
    facts = found.statement[FACTS]
    others = facts["other_runs"] if isinstance(facts.get("other_runs"), dict) else None
    words = origin_by_settings(config, found.plan, others)
    secret = {one.name for one in ARTEFACTS if one.by == "secret"}  # which may be gone by now
    files = {one.name for one in artefacts_of(config, found.folder)}
    uncertain = {*secret, *WRITTEN_SINCE}  # of a run that an earlier build made, they may have come later
    for name, agrees in (
        ("files", set(facts["files"]) - uncertain == files - uncertain),
        ("words", facts["words"] == words),
        ("outside_the_budget", says_what_is_outside(tuple(facts["outside_the_budget"]), config, words)),
        ("data_covered", is_of_source(facts["data_covered"], config)),
        ("other_runs.earlier_runs", has_earlier_runs(others, facts["outside_the_budget"], config)),
        ("aggregation", facts.get("aggregation") == aggregation_facts(config)),
        ("noise_secret_kept", facts["noise_secret_kept"] == config.privacy.keep_noise_secret),
    ):
        findings.agree(f"{STATEMENT}: {FACTS}.{name}", agrees, "config.toml says it too", "config.toml says otherwise")
    most = facts.get("most_phones_of_a_person")
    if most is not None and not 1 <= most <= found.plan.population:
        findings.wrong(f"{STATEMENT}: {FACTS}.most_phones_of_a_person", "no number of phones of this run")
    findings.not_checkable(f"{STATEMENT}: {FACTS}.weighting", "told by the run, with no file to check it by")
    plain = are_plain(facts)
    findings.agree(f"{STATEMENT}: {FACTS}", plain, "every text is one line", "a text of several lines, or with markup")
    if others is not None:
        why = "sentences or totals that do not follow from the costs"
        findings.agree(f"{STATEMENT}: other_runs", adds_up(found, others), "from its own numbers and the ledger", why)


def check_records(found: Evidence, findings: Findings) -> None:
    """summary.json, rounds.jsonl and participation.json say the same of the releases."""
    directory = RunDirectory(found.folder)
    for path, check in (
        (directory.summary, _check_summary),
        (directory.rounds, _check_rounds),
        (found.folder / "participation.json", _check_participation),
    ):
        if path.exists():
            check(found, findings, path)
        else:
            findings.not_checkable(path.name, _NOT_THERE)


def _check_summary(found: Evidence, findings: Findings, path: Path) -> None:
    said = read_json_object(path, "the outcome of a run")
    spent = found.spent
    wanted = {
        "rounds_completed": spent.releases,
        "zcdp_rho": spent.zcdp_rho,
        "epsilon": spent.epsilon,
        "delta": spent.delta,
        "epsilon_is_of": found.plan.epsilon_is_of,
        "weights_sha256": found.statement.get("weights_sha256"),
    }
    others = [name for name, value in wanted.items() if said.get(name) != value]
    if "reports a round" in str(said.get("epsilon_is_of")):  # as earlier versions said
        others = [name for name in others if name != "epsilon_is_of"]
    if not found.of_before:
        others += _others_in_summary(found, said)
    what = "releases, cost, weights, source of the noise and earlier runs; no other key is compared"
    findings.agree(path.name, not others, what, f"another {' and '.join(others)}")


def _others_in_summary(found: Evidence, said: dict[str, Any]) -> list[str]:
    """What it says otherwise than ledger and statement of where noise and weights come from.

    What else it says of other runs, and of an account that others change as well, is of the moment when it was written.
    """
    others, stated = said.get("other_runs"), found.statement.get("other_runs")
    wrong = (
        []
        if said.get("noise_source") == (None if found.plan.mechanism is None else found.plan.noise_source)
        else ["noise_source"]
    )
    for name in _ABOUT_STARTS:
        one, other = (section.get(name) if isinstance(section, dict) else None for section in (others, stated))
        if not same(one, other):
            wrong.append(f"other_runs.{name}")
    return wrong


def _check_rounds(found: Evidence, findings: Findings, path: Path) -> None:
    """Each release of the ledger against the line of its round."""
    rounds = {line["round"]: line for line in RunDirectory(found.folder).read_rounds()}
    way = way_to(found.entries, found.line)
    if way and not rounds:
        findings.wrong(path.name, f"no round, the ledger has {len(way)} releases")
        return
    completed = sum(line.get("abandoned") is None for line in rounds.values())
    wrong = 0
    for number in way:
        entry = found.entries[number]
        line = rounds.get(entry["round"], {})
        reports = line.get("reports", -1) + len(line.get("rejected") or ()) + len(line.get("failed") or ())
        reports += _left_out_with_bucket(line)
        if line.get("abandoned") is not None or reports != entry["reports"]:
            findings.wrong(f"{found.ledger.name}:{number + 1}", f"{path.name} has another round {entry['round']}")
            wrong += 1
        elif is_bound(entry) and line.get("weights_sha256") != entry["weights_sha256"]:
            findings.wrong(f"{found.ledger.name}:{number + 1}", f"{path.name} has other weights after it")
            wrong += 1
    if found.ended and completed != len(way):
        findings.wrong(path.name, f"{completed} rounds with a release, the ledger has {len(way)}")
    elif not wrong:
        findings.recomputed(path.name, "the round, the reports and the weights of each release")


def _left_out_with_bucket(line: Mapping[str, Any]) -> int:
    """Phones that count as having taken part in a round, and whose bucket has no sum."""
    buckets = (line.get("aggregation") or {}).get("buckets") or {}
    number = buckets.get("vectors_left_out", 0)
    return number if is_whole(number, 0) else 0


def _check_participation(found: Evidence, findings: Findings, path: Path) -> None:
    overall = read_json_object(path, "who took part in a run", ("overall",))["overall"]
    way = way_to(found.entries, found.line)
    labels = [participants_of(found.ledger, line, found.entries[line]) for line in way]
    _, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *labels]), return_counts=True)
    wanted = {"updates": int(counts.sum()), "most_updates_of_a_phone": int(counts.max(initial=0))}
    said = overall if isinstance(overall, dict) else {}
    same = all(said.get(name) == value for name, value in wanted.items())
    findings.agree(
        path.name, same, "updates, and those of the busiest phone; no other key is compared", "other participations"
    )
