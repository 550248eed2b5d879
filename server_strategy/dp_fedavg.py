"""DP-FedAvg as a Flower Strategy: user-level differential privacy for federated averaging.

McMahan et al., "Learning differentially private recurrent language models", arXiv:1710.06963,
Algorithm 1, with uniform weights and a fixed denominator.

One round:

1. `configure_train` asks the cohort source which phones report, splits them into shards, and sends
   each shard to a host as one message: the weights once, the ids of its phones.
2. A host trains its phones one after another, leaves out those that fail and updates that are not
   finite, clips the others to clip_norm, and replies with ONE exact fixed-point sum and per-phone
   metrics.
3. `aggregate_train` adds the sums (int64, so in any order), adds the mechanism's noise (`protected_sum`),
   divides by the fixed `goal`, steps the server optimizer, and writes into the ledger which sum it was and
   which weights it led to; only then does anything leave. A release that would exceed the epsilon budget is
   not made.
4. `configure_evaluate` / `aggregate_evaluate` measure the model on held-out phones.

It is an ordinary strategy and works in any ServerApp whose clients speak as `protocol` describes.

Example:
    >>> from server_strategy.cohorts import UniformCohorts
    >>> from server_strategy.privacy.config import PrivacyConfig
    >>> private = PrivacyConfig(noise_multiplier=4.0)
    >>> strategy = DPFedAvg(
    ...     UniformCohorts(goal=20),
    ...     num_phones=1000,
    ...     cohort=CohortConfig(goal=20),
    ...     privacy=private,
    ...     rounds=30,
    ...     noise=NoiseKey.fresh(),
    ... )
    >>> round(strategy.plan.epsilon, 1)
    1.7

In a ServerApp, `strategy.start(grid, initial_arrays, num_rounds=30)` then plays the rounds.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from server_strategy.aggregators import Aggregator, Asked, EachPhoneTold, Line
from server_strategy.cohorts import CohortSource, RoundPlan, check_plan
from server_strategy.config import CohortConfig
from server_strategy.fit_together import check_goal, check_noise, optimizer_of, plan_of
from server_strategy.model_versions import ModelVersions, shaped_like
from server_strategy.node_messages import connected_nodes, dealt_out, num_weights_of, with_one_left
from server_strategy.optimizers.base import ServerOptimizer
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.pooled_evaluation import HeldOutEvaluation, Metrics, PhoneCounts
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.lattice_sum import LatticeSum
from server_strategy.privacy.ledger import ParticipationLog, PrivacyLedger, PrivacySpent, Record
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.noised_sum import NoisedSum
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.protected_sum import ProtectedSum
from server_strategy.protocol import Briefing, TrainRequest
from server_strategy.releases import REPEATED_WITH_ANOTHER_SUM, Releases
from server_strategy.round_outcome import RoundOutcome, outcome_of
from server_strategy.round_replies import RoundReplies, join_replies
from server_strategy.state import State, branch
from server_strategy.train_requests import train_messages
from typefleet.errors import expected
from typefleet.own_parts import calling, require_object
from typefleet.setting_types import typed

_LOG = getLogger("typefleet")


class DPFedAvg(Strategy):
    """DP-FedAvg over hosts that train many phones each; see the module docstring.

    Args:
        cohorts: resolves who reports in a round.
        num_phones: size of the id space of the phones.
        cohort, privacy, optimizer: settings.
        noise: key of the noise; whoever has it can take the noise away.
        server_optimizer: moves the weights, in the place of the one that `optimizer` names.
        mechanism: makes the noise, in the place of the one that `privacy` names; it need not be registered.
        rounds: releases planned; bounds participations and so the noise.
        plan: settled already by `make_privacy_plan`, in the place of `privacy`, `mechanism` and `rounds`.
        ledger_path: file of the ledger; in memory if None.
        labels: maps phone ids to the 64-bit labels that the ledger shows; the ids themselves if None.
        phones_per_message: most phones in a message; None for one message a node, or several of some thousand phones.
        evaluation_phones: held-out phones; none are evaluated if empty.
        metrics: makes values of the counts that hosts answer an evaluation with, summed over the phones; such as
            `client_model.metrics.table.metric_table().numbers` of the counts of `simulation`'s hosts.
        evaluate_every: releases from one evaluation to the next; the last one is always evaluated.
        message_timeout_s: life of a message; a late reply is then dropped instead of kept for hours.
        aggregator: makes one sum of the hosts' answers; by default the server is told of each phone. Internal: its form
            may change.

    Raises:
        InputError: contradictory settings, or a target or a sensitivity that cannot be had.
        LedgerError: the ledger was begun under another plan, or was changed.
    """

    def __init__(
        self,
        cohorts: CohortSource,
        num_phones: int,
        *,
        cohort: CohortConfig,
        noise: NoiseKey,
        privacy: PrivacyConfig | None = None,
        rounds: int | None = None,
        mechanism: Mechanism | None = None,
        plan: PrivacyPlan | None = None,
        optimizer: ServerOptimizerConfig | None = None,
        server_optimizer: ServerOptimizer | None = None,
        ledger_path: Path | None = None,
        labels: Callable[[NDArray[np.int64]], NDArray[np.uint64]] | None = None,
        phones_per_message: int | None = None,
        evaluation_phones: NDArray[np.int64] | None = None,
        metrics: Metrics | None = None,
        evaluate_every: int = 1,
        message_timeout_s: float = 3600.0,
        aggregator: Aggregator | None = None,
    ) -> None:
        check_goal(cohort, num_phones, cohorts.most_reports)
        self.cohorts, self.cohort = cohorts, cohort
        self.optimizer = typed(optimizer or ServerOptimizerConfig(), ("server_optimizer",))
        require_object("noise", noise, ("generator", "source"))
        self.server_optimizer = optimizer_of(self.optimizer, server_optimizer)
        momentum = self.server_optimizer.linear_momentum
        plan = plan_of(cohort, privacy, rounds, plan, mechanism=mechanism, num_phones=num_phones, momentum=momentum)
        self._releases = Releases(
            replace(plan, noise_source=noise.source),  # the key that is used is the truth
            noise,
            ledger_path=ledger_path,
            cohort=cohort,
            num_phones=num_phones,
            labels=labels or (lambda phones: phones.astype(np.uint64)),
            settings=self.optimizer,
            optimizer=self.server_optimizer,
        )
        self.plan = self._releases.plan  # the one on record
        self.last_round: RoundOutcome | None = None
        self._phones_per_message = phones_per_message
        self._evaluation = HeldOutEvaluation(evaluation_phones, evaluate_every, metrics)
        self._aggregator = aggregator or EachPhoneTold()
        check_noise(self.plan, self._aggregator)
        self._ttl, self._least = message_timeout_s, cohort.minimum_report_share * cohort.goal
        self._versions = ModelVersions(cohorts.max_staleness)
        self._arrays: ArrayRecord | None = None
        self._round_plan: RoundPlan | None = None
        self._released_now = False
        self._sent = 0  # messages of the round at hand

    @property
    def releases(self) -> int:
        """Releases made so far."""
        return self._releases.made

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights of the last release made here, see `weights_digest`; empty before it."""
        return self._releases.weights_sha256

    @property
    def last_evaluation(self) -> PhoneCounts | None:
        """What was counted on each held-out phone when they were asked last."""
        return self._evaluation.last

    @property
    def ledger(self) -> PrivacyLedger:
        """The record of the releases; internal, its class may change."""
        return self._releases.ledger

    @property
    def participation(self) -> ParticipationLog:
        """Who took part in the releases so far; internal, its class may change."""
        return self._releases.participation

    @property
    def protected_sum(self) -> ProtectedSum | LatticeSum | NoisedSum:
        """What makes the noise; internal, its class may change."""
        return self._releases.protected_sum

    @property
    def budget_reached(self) -> str | None:
        """Why no further release is made; None while they may be."""
        return self._releases.budget_reached

    def before_each_release(self, permit: Callable[[PrivacySpent], None]) -> None:
        """Ask for leave before each release, with what is spent once it is made; who refuses raises."""
        self._releases.permit = permit

    def go_back(self, phones: int, server_round: int, record: Record) -> None:
        """Go on from the last release that was made or loaded as if some phones had never come; it is on record then.

        It is for `forget.py`; internal, its form may change.

        Args:
            phones: how many the run is without from now on.
            server_round: after which it goes on.
            record: of these phones.
        """
        self._releases.go_back(phones, server_round, record)

    def spent(self, ended: bool) -> PrivacySpent:
        """What is spent so far.

        Args:
            ended: no further release is made: what is on record beyond the last one is counted as well.
        """
        return self._releases.spent(ended)

    def most_rho(self, pays_again: bool, next_round: int) -> float | None:
        """zCDP at most, once the run is over; see `Releases.most_rho`."""
        return self._releases.most_rho(pays_again, next_round)

    def summary(self) -> None:
        """Log the settings, as Flower's own loop asks for."""
        _LOG.info("DP-FedAvg: %s", self.plan)

    # Training ---------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Resolve the round and write one message a shard; none if the round is abandoned."""
        self._arrays, self._released_now = arrays, False
        if self.releases >= self.plan.rounds:  # as many as the noise was made for
            self._releases.budget_reached = f"all {self.plan.rounds} planned releases are made"
        if self.budget_reached is not None:
            self._round_plan = RoundPlan.without_reporters(self.budget_reached)
            return []
        admitted = self._releases.admitted(server_round)
        with calling(f"cohorts {type(self.cohorts).__name__}", "a plan of the round"):
            plan = self.cohorts.plan_round(server_round, admitted)
        self._round_plan = plan
        if self.cohorts.max_staleness:
            self._versions.remember(server_round, arrays)
        if plan.abandoned is not None:
            return []
        check_plan(plan, self.cohorts, server_round, admitted)
        if not self._releases.may_sum(server_round, plan.reporters):
            self._round_plan = RoundPlan.without_reporters(str(self.budget_reached))
            return []
        current = TrainRequest(
            arrays=arrays,
            phones=plan.reporters,
            server_round=server_round,
            clip_norm=self.protected_sum.clip_norm,
            clip_scope=self.plan.clip_scope,
            aggregation=self._aggregator.protocol,
            briefing=Briefing.from_config(config),
        )
        most = self._phones_per_message
        line = Line(grid, connected_nodes(grid), self._ttl, num_weights_of(arrays))
        messages = train_messages(current, plan, self._versions, self._aggregator, line, phones_per_message=most)
        self._sent = len(messages)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Sum, noise, step, ledger - in that order. Returns (None, metrics) if nothing is released."""
        plan, arrays, released = self._round_plan, self._arrays, None
        if plan is None or arrays is None:
            raise RuntimeError(expected("aggregate_train", "a round that configure_train began", "none"))
        came, facts, asked = self._came(server_round, plan, replies, num_weights_of(arrays))
        plan = replace(
            plan, abandoned=plan.abandoned or came.not_summed or came.too_few(self._least, asked=len(plan.reporters))
        )
        clip_norm = self.protected_sum.clip_norm
        if plan.abandoned is None:
            released = self._releases.next(server_round, arrays, came)
            if released is None:
                plan = replace(plan, abandoned=self.budget_reached or REPEATED_WITH_ANOTHER_SUM)
        if released is None:
            self.last_round = outcome_of(plan, came, asked=asked, clip_norm=clip_norm, aggregation=facts)
            return None, MetricRecord({**self.last_round.figures()})
        self._released_now = True
        weights, spent = released
        self.last_round = outcome_of(plan, came, asked=asked, clip_norm=clip_norm, spent=spent, aggregation=facts)
        return shaped_like(arrays, weights), MetricRecord({**self.last_round.figures()})

    def _came(
        self, server_round: int, plan: RoundPlan, replies: Iterable[Message], num_weights: int
    ) -> tuple[RoundReplies, dict[str, Any] | None, int]:
        """(the sum of a round, what its record says of how it was made, the phones that were asked)."""
        if plan.abandoned is not None:
            return join_replies([], plan.reporters, num_weights), None, 0

        def may_learn(came: RoundReplies) -> str | None:
            few = came.too_few(self._least, asked=len(plan.reporters))
            return few or self._releases.may_learn(server_round, came)

        replies = with_one_left(replies, self._sent, lambda: self._releases.draw_ahead(num_weights))
        came = self._aggregator.join(replies, Asked(plan.reporters, num_weights, may_learn))
        if came.stayed_hidden:
            self.ledger.was_hidden()
        return came, self._aggregator.facts(), len(plan.reporters)

    # Evaluation -------------------------------------------------------------------------------

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Messages for the held-out phones when an evaluation is due, else none."""
        evaluation = self._evaluation
        due = self.releases % evaluation.every == 0 or self.releases == self.plan.rounds
        first_or_last = server_round == 0 or self.budget_reached is not None
        if not len(evaluation.phones) or not (first_or_last or (self._released_now and due)):
            return []
        nodes = connected_nodes(grid)
        contents = evaluation.contents(arrays, Briefing.from_config(config), len(nodes))
        return dealt_out(MessageType.EVALUATE, contents, nodes, ttl_s=self._ttl)

    def measure_on(self, phones: NDArray[np.int64]) -> None:
        """Evaluate on these held-out phones from now on; none are evaluated if empty.

        Args:
            phones: int64 [phones], such as those whose owners agree to it now.
        """
        self._evaluation.phones = phones

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Add the phones' counts up, see `pooled_evaluation.pooled_record`; `last_evaluation` keeps each phone's."""
        return self._evaluation.pooled(replies)

    # State ------------------------------------------------------------------------------------

    def state(self) -> State:
        """All that a checkpoint needs besides the weights and the settings, by owner."""
        return {**self._releases.state(), "versions": self._versions.state(), "evaluation": self._evaluation.state()}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave.

        Raises:
            LedgerError: the ledger lacks a release that the state has made.
            StateError: it is not such a state, or says less of who took part than the ledger does.
        """
        self._releases.load_state(state)
        self._versions.load_state(branch(state, "versions"))
        self._evaluation.load_state(branch(state, "evaluation"))
