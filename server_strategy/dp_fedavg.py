"""DP-FedAvg as a Flower Strategy: user-level differential privacy for federated averaging.

McMahan et al., "Learning differentially private recurrent language models", arXiv:1710.06963,
Algorithm 1, with uniform weights and a fixed denominator.

One round:

1. `configure_train` asks the cohort source which phones report, splits them into shards, and sends
   each shard to a host as one message: the weights once, the ids of its phones.
2. A host trains its phones one after another, leaves out those that fail and updates that are not
   finite, clips the others to clip_norm, and replies with ONE exact fixed-point sum and per-phone
   metrics.
3. `aggregate_train` adds the sums (int64, so in any order), writes the release into the ledger,
   adds the mechanism's noise, divides by the fixed `goal`, and steps the server optimizer.
4. `configure_evaluate` / `aggregate_evaluate` measure the model on held-out phones.

It is an ordinary strategy and works in any ServerApp whose clients answer in this form:

    train:    in   arrays, config {phone-ids, server-round, clip-norm, update-weight, ...}; with a
                   buffer, arrays and server-round are those of the round in which the phones began
              out  update-sum: one int64 array (`update_sum.FixedPointSum.values`)
                   metrics {phone-ids, update-norm, loss-sum, tokens}, lists aligned,
                   and {rejected-ids}, updates that were not finite
                   optional: metrics {failed-ids}, phones whose training raised, and
                   failures {causes}, a text for each
    evaluate: in   arrays, config {phone-ids, unit-sizes, ...}; each unit is so many of the ids, in
                   order, that may be computed together, and is the same for any number of nodes
              out  metrics {phone-ids, tokens, loss-sum, word-positions, out-of-vocabulary,
                   top1-hits, top3-hits}, lists aligned

Example:
    >>> strategy = DPFedAvg(                                      # doctest: +SKIP
    ...     UniformCohorts(goal=20), num_phones=1000,
    ...     cohort=CohortConfig(goal=20), privacy=PrivacyConfig(noise_multiplier=1.0), rounds=30)
    >>> strategy.start(grid, initial_arrays, num_rounds=30)       # doctest: +SKIP
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from logging import WARNING, getLogger
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from server_strategy.buffered import ModelVersions, flat_weights, shaped_like, staleness_weight
from server_strategy.cohorts import CohortSource, RoundPlan, balanced_shards
from server_strategy.config import (
    CohortConfig,
    PrivacyConfig,
    ServerOptimizerConfig,
)
from server_strategy.noise import make_query, noised_sum
from server_strategy.pooled_evaluation import as_list, counts_of_phones, evaluation_shards, pooled_metrics
from server_strategy.privacy_ledger import (
    LedgerError,
    ParticipationLog,
    PrivacyLedger,
    PrivacySpent,
    privacy_spent,
)
from server_strategy.privacy_plan import make_privacy_plan
from server_strategy.server_optimizers import OptimizerState, initial_state, optimizer_step
from server_strategy.update_sum import MAX_PHONES, to_float

_LOG = getLogger("typefleet")


@dataclass(frozen=True)
class RoundOutcome:
    """What came of the last round's training."""

    plan: RoundPlan
    reports: int  # phones in the sum
    rejected: NDArray[np.int64]  # phones whose update was not finite
    failed: NDArray[np.int64]  # phones whose training raised
    failure_causes: tuple[str, ...]  # one for each of `failed`, in the same order
    lost: int  # reporters whose message never came back
    tokens: int
    loss_per_token: float | None  # nats, on the phones' own text, before each step
    clipped_share: float | None  # share of reports whose update was longer than clip_norm
    spent: PrivacySpent | None  # null when nothing was released


class DPFedAvg(Strategy):
    """DP-FedAvg over hosts that train many phones each; see the module docstring.

    Args:
        cohorts: resolves who reports in a round.
        num_phones: size of the id space of the phones.
        cohort, privacy, optimizer: settings.
        rounds: releases planned; bounds participations and so the noise.
        seed: key of the noise.
        ledger_path: file of the ledger; in memory if None.
        labels: maps phone ids to the 64-bit labels that the ledger shows; the ids themselves if None.
        phones_per_message: most phones in a message; None for one message a node.
        evaluation_phones: held-out phones; none are evaluated if empty.
        evaluate_every: evaluate after every so many releases, and after the last.
        message_timeout_s: life of a message; a late reply is then dropped instead of kept for hours.

    Raises:
        ValueError: contradictory settings.
    """

    def __init__(
        self,
        cohorts: CohortSource,
        num_phones: int,
        *,
        cohort: CohortConfig,
        privacy: PrivacyConfig,
        rounds: int,
        optimizer: ServerOptimizerConfig | None = None,
        seed: int = 0,
        ledger_path: Path | None = None,
        labels: Callable[[NDArray[np.int64]], NDArray[np.uint64]] | None = None,
        phones_per_message: int | None = None,
        evaluation_phones: NDArray[np.int64] | None = None,
        evaluate_every: int = 1,
        message_timeout_s: float = 3600.0,
    ) -> None:
        most_reports = cohort.goal if cohort.policy != "deadline" else math.ceil(cohort.goal * cohort.over_selection)
        if not 0 < cohort.goal <= num_phones or most_reports > MAX_PHONES:
            raise ValueError(
                f"Expected goal between 1 and {num_phones} and at most {MAX_PHONES} reports a round. "
                f"Found {cohort.goal} and {most_reports}."
            )
        self.cohorts, self.cohort, self.privacy = cohorts, cohort, privacy
        self.optimizer = optimizer or ServerOptimizerConfig()
        self.plan = make_privacy_plan(cohort, privacy, rounds, num_phones)
        self.ledger = PrivacyLedger(self.plan, ledger_path)
        self.participation = ParticipationLog(num_phones)
        self.releases = 0
        self.last_round: RoundOutcome | None = None
        self.last_evaluation: dict[str, NDArray] | None = None  # counts of each held-out phone
        self._query = make_query(privacy.mechanism, privacy.clip_norm, self.plan.noise_stddev, seed)
        self._labels = labels or (lambda phones: phones.astype(np.uint64))
        self._phones_per_message = phones_per_message
        self._evaluation_phones = np.zeros(0, np.int64) if evaluation_phones is None else evaluation_phones
        self._evaluate_every, self._ttl = evaluate_every, message_timeout_s
        self._optimizer_state: OptimizerState | None = None
        self._versions = ModelVersions(cohort.max_staleness)
        self._arrays: ArrayRecord | None = None
        self._round_plan: RoundPlan | None = None
        self._released_now = False

    def summary(self) -> None:
        """Log the settings, as Flower's own loop asks for."""
        _LOG.info("DP-FedAvg: %s", self.plan)

    # Training ---------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Resolve the round and write one message a shard; none if the round is abandoned."""
        self._arrays, self._released_now = arrays, False
        admitted = self.participation.may_participate(
            self.releases + 1, self.cohort.min_separation_rounds, self.plan.max_participations
        )
        plan = self.cohorts.plan_round(server_round, admitted)
        self._round_plan = plan
        if plan.started_round is not None:
            self._versions.remember(server_round, arrays)
        if plan.abandoned is not None:
            return []
        if not admitted[plan.reporters].all():
            raise ValueError("Expected reporters that the participation rule admits. Found others.")
        nodes = self._nodes(grid)
        train_config = {**config, "clip-norm": self.privacy.clip_norm}
        contents = self._training_contents(server_round, plan, arrays, len(nodes))
        return self._messages(MessageType.TRAIN, contents, train_config, nodes)

    def _training_contents(
        self, server_round: int, plan: RoundPlan, arrays: ArrayRecord, num_nodes: int
    ) -> list[tuple[ArrayRecord, dict[str, Any]]]:
        """(weights, what else it says) of each message; phones that began in the same round go together."""
        started = np.full(len(plan.reporters), server_round) if plan.started_round is None else plan.started_round
        contents = []
        for began in np.unique(started).tolist():
            own = started == began
            share = max(1, round(num_nodes * float(own.mean())))
            same = began == server_round
            received = arrays if same else self._versions.of(began, arrays)
            weight = staleness_weight(server_round - began, self.cohort.staleness_exponent)
            for shard in balanced_shards(plan.reporters[own], plan.tokens[own], share, self._phones_per_message):
                content = {"phone-ids": shard.tolist(), "server-round": began, "update-weight": weight}
                contents.append((received, content))
        return contents

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Sum, ledger, noise, step - in that order. Returns (None, metrics) if nothing is released."""
        plan, arrays = self._round_plan, self._arrays
        if plan is None or arrays is None:
            raise RuntimeError("aggregate_train was called before configure_train")
        if plan.abandoned is not None:
            nobody = np.zeros(0, np.int64)
            self.last_round = RoundOutcome(plan, 0, nobody, nobody, (), 0, 0, None, None, None)
            return None, MetricRecord({"reports": 0})
        total, metrics, causes = self._add_up(plan, replies)
        reported = np.sort(metrics["phone-ids"])
        rejected, failed = np.sort(metrics["rejected-ids"]), np.array(sorted(causes), np.int64)
        lost = len(plan.reporters) - len(reported) - len(rejected) - len(failed)
        left_out = (rejected, failed, tuple(causes[int(phone)] for phone in failed), lost)
        if len(reported) < self.cohort.minimum_report_share * self.cohort.goal:
            reason = f"{len(reported)} usable updates of {len(plan.reporters)} reports"
            if causes:
                reason += f"; phones failed with {causes[int(failed[0])]}"
            plan = replace(plan, abandoned=reason)
            self.last_round = RoundOutcome(plan, len(reported), *left_out, 0, None, None, None)
            return None, MetricRecord({"reports": len(reported)})

        spent = self._put_on_record(server_round, np.concatenate([reported, rejected, failed]))
        new_arrays = self._release(arrays, total)
        tokens, norms = int(metrics["tokens"].sum()), metrics["update-norm"]
        # Sum losses in the order of ids: the same bits however the phones were sharded.
        loss = float(metrics["loss-sum"][np.argsort(metrics["phone-ids"])].sum()) / max(tokens, 1)
        clipped = float((norms > self.privacy.clip_norm).mean())
        self.last_round = RoundOutcome(plan, len(reported), *left_out, tokens, loss, clipped, spent)
        return new_arrays, MetricRecord({"reports": len(reported), "tokens": tokens, "loss": loss})

    def _add_up(
        self, plan: RoundPlan, replies: Iterable[Message]
    ) -> tuple[NDArray[np.int64], dict[str, NDArray], dict[int, str]]:
        """(int64 sum [num_weights], per-phone metrics joined over the replies, cause of each failed phone)."""
        size = sum(int(np.prod(a.shape)) for a in (self._arrays or {}).values())
        total = np.zeros(size, np.int64)
        joined: dict[str, list] = {
            name: [] for name in ("phone-ids", "rejected-ids", "update-norm", "loss-sum", "tokens")
        }
        causes: dict[int, str] = {}
        for reply in replies:
            if reply.has_error():
                _LOG.log(WARNING, "a host failed, its phones count as lost: %s", reply.error.reason)
                continue
            (values,) = reply.content.array_records["update-sum"].to_numpy_ndarrays()
            total += values
            metrics = reply.content.metric_records["metrics"]
            for name, values_of in joined.items():
                values_of.extend(as_list(metrics[name]))
            failed = as_list(metrics.get("failed-ids", []))
            if failed:
                causes.update(zip(failed, as_list(reply.content.config_records["failures"]["causes"]), strict=True))
        seen = np.array([*joined["phone-ids"], *joined["rejected-ids"], *causes], np.int64)
        if len(np.unique(seen)) != len(seen) or not np.isin(seen, plan.reporters).all():
            raise ValueError("Expected each reporter at most once in the replies. Found another or a repeated phone.")
        floats = ("update-norm", "loss-sum")
        arrays = {n: np.array(v, np.float64 if n in floats else np.int64) for n, v in joined.items()}
        return total, arrays, causes

    def _put_on_record(self, server_round: int, participants: NDArray[np.int64]) -> PrivacySpent:
        """Count the participants and write the ledger; must come before any noise is drawn.

        A rejected or failed phone added nothing to the sum but is counted, on the conservative side.
        """
        release = self.releases + 1
        self.participation.record(release, participants)
        spent = privacy_spent(self.plan, self.participation, release)
        self.ledger.record(server_round, self._labels(participants), spent)
        return spent

    def _release(self, arrays: ArrayRecord, total: NDArray[np.int64]) -> ArrayRecord:
        noised = noised_sum(self._query, to_float(total, self.privacy.clip_norm), self.releases)
        mean_update = (noised / self.cohort.goal).astype(np.float32)  # [num_weights]
        if self._optimizer_state is None:
            self._optimizer_state = initial_state(self.optimizer, len(mean_update))
        step, self._optimizer_state = optimizer_step(self.optimizer, mean_update, self._optimizer_state)
        self.releases += 1
        self._released_now = True
        return shaped_like(arrays, flat_weights(arrays) + step)

    # Evaluation -------------------------------------------------------------------------------

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Messages for the held-out phones when an evaluation is due, else none."""
        first = server_round == 0
        due = self.releases % self._evaluate_every == 0 or self.releases == self.plan.rounds
        if not len(self._evaluation_phones) or not (first or (self._released_now and due)):
            return []
        nodes = self._nodes(grid)
        contents = [(arrays, shard) for shard in evaluation_shards(self._evaluation_phones, len(nodes))]
        return self._messages(MessageType.EVALUATE, contents, config, nodes)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Pool the phones' counts: recall, perplexity, out-of-vocabulary rate over all positions."""
        replies = list(replies)
        for reply in replies:
            if reply.has_error():
                _LOG.log(WARNING, "a host failed to evaluate: %s", reply.error.reason)
                return None  # a value over some of the phones would not be comparable
        self.last_evaluation = counts_of_phones(replies)
        return pooled_metrics(self.last_evaluation)

    # Messages and state -----------------------------------------------------------------------

    def _nodes(self, grid: Grid) -> list[int]:
        nodes = sorted(grid.get_node_ids())
        if not nodes:
            raise RuntimeError("Expected at least one connected node. Found none.")
        return nodes

    def _messages(
        self, kind: str, contents: list[tuple[ArrayRecord, dict[str, Any]]], config: Any, nodes: list[int]
    ) -> list[Message]:
        """One message for each entry of `contents`, dealt out to the nodes in turn."""
        return [
            Message(
                RecordDict({"arrays": arrays, "config": ConfigRecord({**config, **content})}),
                dst_node_id=nodes[index % len(nodes)],
                message_type=kind,
                ttl=self._ttl,
            )
            for index, (arrays, content) in enumerate(contents)
        ]

    def state(self) -> dict[str, NDArray]:
        """All that a checkpoint needs besides the weights and the settings."""
        moments = self._optimizer_state or OptimizerState(np.zeros(0, np.float32), np.zeros(0, np.float32))
        return {
            "participation_counts": self.participation.counts,
            "participation_last": self.participation.last,
            "participation_min_separation": np.array(self.participation.min_separation),
            "releases": np.array(self.releases),
            "optimizer_started": np.array(self._optimizer_state is not None),
            "first_moment": moments.first_moment,
            "second_moment": moments.second_moment,
            **self._versions.state(),
            **{f"evaluation_{name}": counts for name, counts in (self.last_evaluation or {}).items()},
        }

    def load_state(self, state: dict[str, NDArray]) -> None:
        """Inverse of `state`.

        Raises:
            LedgerError: the ledger lacks a release that the state has made.
        """
        releases = int(state["releases"])
        if self.ledger.releases < releases:
            raise LedgerError(
                f"{self.ledger.path}: expected at least {releases} releases on record, found {self.ledger.releases}"
            )
        self.releases = releases
        self._versions.load_state(state)
        counts = {k.removeprefix("evaluation_"): v.copy() for k, v in state.items() if k.startswith("evaluation_")}
        self.last_evaluation = counts or None
        self.participation.counts = state["participation_counts"].copy()
        self.participation.last = state["participation_last"].copy()
        self.participation.min_separation = int(state["participation_min_separation"])
        if state["optimizer_started"]:
            self._optimizer_state = OptimizerState(state["first_moment"].copy(), state["second_moment"].copy())
