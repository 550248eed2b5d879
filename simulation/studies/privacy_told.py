"""The facts that only the run knew, held to what they can be held to: one line each, and sums that add up.

What is said of other runs is made again from its own numbers, in the cost of the ledger.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START
from client_model.text.population import text_source
from server_strategy.privacy.account_sums import AccountTotal
from server_strategy.privacy.accounting import epsilon_of_several
from server_strategy.privacy.composition import MADE_UP, SYNTHETIC, EarlierRun
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.rounded_up import BoundOnEarlierRho, as_earlier_builds_round
from server_strategy.privacy.statement_account import OnAccount, OtherRuns, other_runs_json
from simulation.config import RunConfig
from simulation.studies.privacy_evidence import Evidence, same
from typefleet.plain_names import is_plain, plain

_ROUNDING = 1e-9
_OWN_SEED, _OTHER_SEED = 0, 1  # of noise: in a comparison only whether they are one matters


def are_plain(told: Any) -> bool:
    """Whether every text of the facts is one line without markup, so that it can be nothing but what it is."""
    return all(map(is_plain, _texts(told)))


def _texts(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict):
        yield from (text for pair in told.items() for one in pair for text in _texts(one))
    elif isinstance(told, list | tuple):
        yield from (text for one in told for text in _texts(one))


def is_of_source(data_covered: str, config: RunConfig) -> bool:
    """Whether the data covered is said in the words of a run; the number of phones is the text's."""
    source = re.escape(plain(text_source(config.data)))
    number = "[1-9][0-9]{0,2}(,[0-9]{3})*"
    words = f"the text of the {number} training phones of {source}, as far as their phones took part"
    return re.fullmatch(words, data_covered) is not None


def has_earlier_runs(others: dict[str, Any] | None, outside: list[str], config: RunConfig) -> bool:
    """Whether earlier runs are named where the start is of one, and none where it is of none."""
    init = config.model.init
    named = bool((others or {}).get("earlier_runs"))
    if init is None or init in (RANDOM_START, PUBLIC_START) or Path(init).parent == FOLDER:
        return not named
    corpus = any(one.startswith(f"central training on the text of {plain(init.name)}") for one in outside)
    return others is None or named or corpus or config.model.init_is_public


def adds_up(found: Evidence, said: dict[str, Any]) -> bool:
    """Whether sentences and totals about other runs are those of their numbers, and an account has this run's cost.

    Seeds of noise are in no statement: whether the run and the one that it starts from had the same is its word.
    """
    try:
        account = _account(said["account"])
        made = (_others(found, said, account, seed_of_start=seed) for seed in (None, _OTHER_SEED))
        agrees = any(same(said, json.loads(json.dumps(told))) for others in made for told in _told_by_builds(others))
        return agrees and (account is None or _covers(found, account.total))
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return False  # no section that a run writes


def _told_by_builds(others: OtherRuns) -> Iterator[dict[str, Any]]:
    """What is told of other runs now, and what was before rho of earlier ones was rounded up as well."""
    yield other_runs_json(others)
    with as_earlier_builds_round(BoundOnEarlierRho):
        former = other_runs_json(others)
    yield former


def _others(
    found: Evidence, said: dict[str, Any], account: OnAccount | None, *, seed_of_start: int | None
) -> OtherRuns:
    """What is said, by its numbers.

    Args:
        found: of the run.
        said: in its statement.
        account: of it, as said.
        seed_of_start: that keyed the noise of the run whose weights it starts from; None: it may be this run's.
    """
    plan = found.plan
    population = SYNTHETIC if said["data"] == MADE_UP else said["data"]
    own = EarlierRun(
        weights_sha256=found.statement["weights_sha256"],
        population=population,
        cost=Cost(found.spent.zcdp_rho, 0.0 if plan.vocabulary is None else plan.vocabulary.delta),
        terms=Terms(plan.epsilon_is_of, plan.adjacency, plan.delta_left),
        known_by="its ledger",
        run=said["run"],
        noise_source=None if plan.mechanism is None else plan.noise_source,
        noise_seed=_OWN_SEED,
    )
    earlier = [_earlier(one, population, number) for number, one in enumerate(said["earlier_runs"])]
    earlier[:1] = [replace(one, noise_seed=seed_of_start) for one in earlier[:1]]  # no run knows those before
    return OtherRuns(own, tuple(earlier), said["vocabulary"], account)


def _earlier(said: dict[str, Any], population: str | None, number: int) -> EarlierRun:
    other = SYNTHETIC if said["data"] == MADE_UP else None if said["data"] is None else f"text {number}"
    return EarlierRun(
        weights_sha256=said["weights_sha256"],
        population=population if said["same_data"] else other,
        cost=Cost(said["zcdp_rho"], said["own_delta"]),
        terms=Terms(said["epsilon_is_of"], said["adjacency"], said["delta"]),
        known_by=said["known_by"],
        run=said["run"],
        noise_source=said.get("noise_source"),
    )


def _account(said: dict[str, Any] | None) -> OnAccount | None:
    if said is None:
        return None
    total = AccountTotal(**{name: said[name] for name in AccountTotal.__dataclass_fields__})
    return OnAccount(said["file"], said["run"], (said["line"], said["line_sha256"]), total, said["total_epsilon"])


def _covers(found: Evidence, total: AccountTotal) -> bool:
    """Whether a total is at least the run's own cost, and its epsilon that of its rho."""
    own = found.spent.zcdp_rho
    if own is None or total.zcdp_rho is None or total.delta is None:
        return total.epsilon is None or own is None
    least = epsilon_of_several(total.zcdp_rho, total.delta) * (1 - _ROUNDING)
    return total.zcdp_rho >= own * (1 - _ROUNDING) and total.epsilon is not None and total.epsilon >= least
