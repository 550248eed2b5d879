"""A run among others: what it starts from, what it shares its phones with, and what is said of both."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START
from client_model.text.vocabulary import read_vocabulary
from server_strategy.privacy.composition import EarlierRun, composed
from server_strategy.privacy.costs import Cost
from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_account import (
    OnAccount,
    OtherRuns,
    account_line,
    other_runs_json,
    start_sentence,
)
from simulation.config import RunConfig
from simulation.files import read_json_object
from simulation.run.accepted_input import AcceptedInput
from simulation.run.account import (
    RunFacts,
    charge_next,
    check_account,
    keep_charged,
    most_of,
    own_delta_of,
    population_of,
    read_account,
    settle_on,
    terms_of,
)
from simulation.run.directory import RunDirectory
from simulation.run.earlier_runs import SECTION, earlier_runs, run_of
from simulation.run.files_statement import origin_of_start
from simulation.run.shared_messages import require_public
from simulation.run.starting_point import StartingPoint
from typefleet.errors import ConfigError, InputError, expected
from typefleet.untrusted.toml_tables import read_toml

if TYPE_CHECKING:
    from client_model.text.population import PopulationSpec
    from simulation.run.lifecycle import Run

# Where the words of a vocabulary are from.
Words = Literal["counted", "private", "list", "shipped", "corpus", "unknown"]
_WORDS: tuple[Words, ...] = get_args(Words)
_OF_START: dict[Words, str] = {
    "counted": "the run that they are of counted it on its training phones, without noise",
    "private": "the run that they are of chose it privately, at a cost that is part of that run's",
    "list": "the run that they are of read it from a list, and it is private only if that list is",
    "corpus": "it was counted on a corpus that is taken to be public",
    "unknown": "how it was made is on no record",
}


def require_admission(accepted: AcceptedInput) -> None:
    """Refuse a new run that starts from its own phones' text as public, or that its account has no room for.

    Raises:
        ConfigError, AccountError: it is one; nothing was written.
    """
    require_public(accepted.start, accepted.spec)
    check_account(facts_of(accepted.config, accepted.plan, accepted.spec, accepted.start))


def facts_of(config: RunConfig, plan: PrivacyPlan, spec: "PopulationSpec", start: StartingPoint | None) -> RunFacts:
    """What an account asks of a run; see `started_from` for what is raised."""
    return RunFacts(config, plan, spec, started_from(start, config))


def started_from(start: StartingPoint | None, config: RunConfig) -> tuple[EarlierRun, ...]:
    """The runs whose weights a run starts from; none of random weights, and of what is public.

    Raises:
        ConfigError, LedgerError: what is on record of them was changed, or is declared to be public.
    """
    if start is None or start.ships_with_us or start.corpus is not None:
        return ()
    if not config.model.init_is_public:
        return earlier_runs(start.path)
    statement = run_of(start.path) / "privacy.json"
    if statement.exists():
        found = f"those of a run, by {statement}"
        raise ConfigError(expected("--model.init-is-public", "weights that no run has trained on phones", found))
    return ()


def words_from(config: RunConfig, plan: PrivacyPlan, start: StartingPoint | None) -> Words:
    """Where the words of a run's vocabulary are from."""
    if config.data.vocabulary_path is not None:
        return "list"
    if start is None:
        return "counted" if plan.to_json().get("vocabulary") is None else "private"
    if start.ships_with_us or start.corpus is not None:
        return "shipped" if start.ships_with_us else "corpus"
    if start.vocabulary == read_vocabulary(FOLDER / "vocab.txt"):  # whatever the run says of them
        return "shipped"
    said = _words_of_weights(start.path)
    return "unknown" if said == "shipped" else said


def _words_of_weights(weights: Path) -> Words:
    """By the statement of their run; of one that an earlier version wrote, by its settings."""
    folder = run_of(weights)
    if (folder / "privacy.json").exists():
        section = read_json_object(folder / "privacy.json", "the privacy statement of a run").get(SECTION)
        said = section.get("vocabulary") if isinstance(section, dict) else None
        for known in _WORDS:
            if said == known:
                return known
    try:
        settings: dict[str, Any] = read_toml(RunDirectory(folder).config, "the settings of a run", ConfigError)
    except InputError:  # weights alone
        return "unknown"
    data, model = settings.get("data", {}), settings.get("model", {})
    if isinstance(data, dict) and "vocabulary_path" in data:
        return "list"
    init = model.get("init") if isinstance(model, dict) else None
    by_start: dict[Any, Words] = {str(RANDOM_START): "counted", str(PUBLIC_START): "shipped"}
    return by_start.get(init, "unknown")


def start_items(run: "Run") -> Iterator[str]:
    """What the start brings that this run's budget does not cover: words, and weights."""
    start, config = run.prepared.start, run.config
    if start is None:
        return
    words = words_from(config, run.strategy.plan, start)
    if words in _OF_START and config.data.vocabulary_path is None and not _are_covered(run):
        yield f"the vocabulary, which comes with {start.name}: {_OF_START[words]}"
    if start.ships_with_us or start.corpus is not None:
        yield start.description
    elif config.model.init_is_public:
        yield f"the starting weights, read from {start.name}: declared to be trained on public text alone"
    elif run.earlier[0].known_by == "nothing":
        yield f"{start.description}, and what they cost a phone is not known"
    else:
        yield f"the starting weights, read from {start.name}: of an earlier run, added up under `Other runs`"


def _are_covered(run: "Run") -> bool:
    """Whether a vocabulary that the start brings is part of the cost that is stated with it."""
    return origin_of_start(run.strategy.plan, other_runs_json(other_runs_now(run))) == "earlier private"


def other_runs(run: "Run", spent: PrivacySpent | None = None, weights: str | None = None) -> OtherRuns:
    """What is said of other runs, by what this one has spent.

    Args:
        run: this one.
        spent: so far; None: the most that it can.
        weights: SHA-256 of what they are now.

    Raises:
        AccountError: the account was changed.
    """
    plan, on_account = run.strategy.plan, run.on_account
    return OtherRuns(
        own=_itself(run, spent, weights),
        earlier=tuple(run.earlier),
        vocabulary=words_from(run.config, plan, run.prepared.start),
        account=None if on_account is None else OnAccount.of(read_account(on_account), on_account.run),
    )


def _itself(run: "Run", spent: PrivacySpent | None, weights: str | None) -> EarlierRun:
    """This run as one that starts from it will have it."""
    plan = run.strategy.plan
    return EarlierRun(
        weights_sha256=weights,
        population=population_of(run.prepared.task.population),
        cost=most_of(plan) if spent is None else Cost(spent.zcdp_rho, own_delta_of(plan)),
        terms=terms_of(plan),
        known_by="its ledger",
        run=None if run.on_account is None else run.on_account.run,
        noise_source=None if plan.mechanism is None else plan.noise_source,
        noise_seed=run.config.seed,
    )


def epsilon_with_earlier(run: "Run") -> str | None:
    """What it has cost so far with the runs it starts from, for a line of its rounds; None without any."""
    if not run.earlier:
        return None
    epsilon = composed(_itself(run, _spent_by(run), None), run.earlier).epsilon
    return "no epsilon" if epsilon is None else f"{Bound(epsilon):.2f}"


def other_runs_now(run: "Run") -> OtherRuns:
    """`other_runs` by what a run has spent so far."""
    return other_runs(run, _spent_by(run), run.weights.sha256)


def settle(run: "Run") -> None:
    """Put down on its account what a finished run has spent.

    Raises:
        AccountError, LedgerError: the account or the ledger was changed.
    """
    if run.on_account is not None:
        settle_on(run.on_account, run.strategy.plan, _spent_by(run), run.directory.ledger)


def keep_on_account(run: "Run") -> None:
    """Put down on its account what a run has spent beyond what it reserved.

    Raises:
        AccountError: the account was changed.
    """
    if run.on_account is not None:
        keep_charged(run.on_account, run.strategy.plan, _spent_by(run))


def ask_account(run: "Run") -> None:
    """Let a run ask its account before each release, from here on."""
    on_account = run.on_account
    if on_account is not None:
        run.strategy.before_each_release(lambda spent: charge_next(on_account, run.strategy.plan, spent))


def _spent_by(run: "Run") -> PrivacySpent:
    return run.strategy.spent(run.finished)


def introduction(run: "Run") -> Iterator[str]:
    """What is said before the first round: what the run can come to with earlier ones, and with all others."""
    others = other_runs(run)
    if (sentence := start_sentence(others)) is not None:
        yield f"start       {sentence}"
    if others.account is not None:
        yield f"account     {account_line(others.account)}"
