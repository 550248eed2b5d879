"""From an exact sum to the next weights: noise, the server's step, and the line of the ledger before anything leaves.

A run that goes on from a checkpoint makes its last releases again. The same sum is the same release: it has its line
already, the same noise, the same weights, and is free. Another sum under a line on record has noise of its own and a
line of its own; both are counted (`privacy.ledger_paths`).
"""

import copy
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from server_strategy.config import CohortConfig
from server_strategy.model_versions import flat_weights, weights_digest
from server_strategy.optimizers.base import OptimizerState, ServerOptimizer, checked_step, learning_rate_at
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.lattice_sum import protected_sum_of
from server_strategy.privacy.ledger import (
    Beside,
    Binding,
    ParticipationLog,
    PrivacyLedger,
    PrivacySpent,
    privacy_after,
    privacy_spent,
)
from server_strategy.privacy.ledger_lines import KEY_BYTES, Record, digest_of_sum
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.participation_log import least_epsilon_after, most_rho
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.protected_sum import ProtectedSum
from server_strategy.privacy.rounded_up import Bound
from server_strategy.round_replies import RoundReplies
from server_strategy.state import State, StateError, branch, leaf, leaves_of
from server_strategy.update_sum import FRACTION_BITS, to_float
from typefleet.at_once import at_once
from typefleet.errors import expected

REPEATED_WITH_ANOTHER_SUM = (
    "this round is on record with another sum, and its phones' noise may protect one sum alone; the next round has "
    "noise of its own"
)
"""Why a sum with the phones' noise is not released."""

Labels = Callable[[NDArray[np.int64]], NDArray[np.uint64]]
Weights = NDArray[np.float32]  # [num_weights]


class Releases:
    """Makes the releases of a run, one after the other.

    Args:
        plan: to keep.
        noise: key of the noise.
        ledger_path: file of the ledger; in memory if None.
        cohort: of the run.
        num_phones: size of the id space of the phones.
        labels: maps phone ids to the 64-bit labels that the ledger shows.
        settings, optimizer: of the server.

    Attributes:
        plan: the one on record.
        made: releases so far, on the way to the model.
        budget_reached: why no further one is made; None while they may be.
        weights_sha256: of the weights of the last one made here; empty before it.

    Raises:
        LedgerError: the ledger was begun under another plan, or was changed.
    """

    def __init__(
        self,
        plan: PrivacyPlan,
        noise: NoiseKey,
        *,
        ledger_path: Path | None,
        cohort: CohortConfig,
        num_phones: int,
        labels: Labels,
        settings: ServerOptimizerConfig,
        optimizer: ServerOptimizer,
    ) -> None:
        self.ledger = PrivacyLedger(plan, ledger_path)
        self.plan = self.ledger.plan
        self.participation = ParticipationLog(num_phones)
        self.protected_sum = protected_sum_of(self.plan, noise, FRACTION_BITS)
        self.made = 0
        self.budget_reached: str | None = None
        self.weights_sha256 = ""
        self._noise, self._labels, self._cohort = noise, labels, cohort
        self._settings, self._optimizer = settings, optimizer
        self._optimizer_state: OptimizerState | None = None
        self.permit: Callable[[PrivacySpent], None] | None = None  # refuses what would be spent, by raising
        self._digest_key = secrets.token_bytes(KEY_BYTES)  # a checkpoint keeps it

    def admitted(self, server_round: int | None = None) -> NDArray[np.bool_]:
        """bool [num_phones]: those who may take part in the next release.

        What a run released before it went back to forget phones is counted in what is spent, and keeps nobody from
        taking part: it is played on as if those phones had never come.

        Args:
            server_round: in which it is made; what is on record of rounds before it cannot be made again.
        """
        return self.participation.may_participate(
            self.made + 1,
            self._cohort.min_separation_rounds,
            self.plan.max_participations,
            self._beside(self.ledger.head, next_round=server_round, of_this_life=True).counts,
        )

    def spent(self, ended: bool) -> PrivacySpent:
        """What is spent so far.

        Args:
            ended: no further release is made: what is on record beyond the last one is counted as well.
        """
        return privacy_spent(self.plan, self.participation, self.made, self._beside(self.ledger.head, ended, sums=True))

    def most_rho(self, pays_again: bool, next_round: int) -> float | None:
        """zCDP at most, once the run is over, with what is on record beside the way to its model; None without privacy.

        Args:
            pays_again: what is on record after the last release does not, or may not, come out the same again.
            next_round: with which the run goes on; sums of earlier ones that came to no release are not made again.
        """
        beside = self._beside(self.ledger.head, pays_again, one_way_again=True, next_round=next_round)
        return most_rho(self.plan, beside)

    def may_sum(self, server_round: int, reporters: NDArray[np.int64]) -> bool:
        """Whether a sum may be made at all, before any phone is asked.

        Where phones add the noise, the sum itself is what the server learns: one that the budget or an account has no
        room for must not come to be, and not only not be released. All who are asked are taken to be in it. Where the
        server adds it, `next` decides, and only a sum that the budget has no room for whoever stays away is not made.

        Args:
            server_round: of the sum.
            reporters: phones that are to be asked.

        Returns:
            False if it would exceed the budget; `budget_reached` then says so.
        """
        self.ledger.let_go()
        if self.plan.phone_noise is None:
            return self._may_fit(reporters)
        if self.ledger.has_round(server_round):  # that one is free, or not learnt
            return True
        spent = self._spent_after(reporters, self._beside(None))
        if self._exceeds_budget(spent):
            return False
        if self.permit is not None:
            self.permit(spent)
        return True

    def _may_fit(self, reporters: NDArray[np.int64]) -> bool:
        """Whether the budget may have room for a release of enough of these phones; `budget_reached` says so if not."""
        budget, enough = self.plan.epsilon_budget, self._cohort.minimum_reports
        if budget is None or len(reporters) < enough or not self.ledger.is_at_its_end:  # else it may be free
            return True
        beside, log = self._beside(None), self.participation
        least = least_epsilon_after(self.plan, log, self.made + 1, reporters, at_least=enough, beside=beside)
        if least is None or least <= budget:
            return True
        return not self._exceeds_budget(self._spent_after(reporters, beside))  # in the words of the release

    def may_learn(self, server_round: int, came: RoundReplies) -> str | None:
        """Why the sum of these answers must not be learnt; None if it may be, and it is on record then as a sum.

        Where phones add the noise, learning the sum is the release, whatever becomes of it. What is on record and comes
        to no release is counted: a run that is killed now has it in its ledger, as has one whose sum cannot be read.

        Args:
            server_round: of the sum.
            came: from the hosts, before it is known.

        Raises:
            RuntimeError: the phones say nothing by which the same sum could be told.
            OSError: it could not be put on record, and must not be learnt.
        """
        if self.plan.phone_noise is None:
            return None
        if came.vectors_digest is None:
            raise RuntimeError(expected("answers of phones that add noise", "a digest of their vectors", "none"))
        self.ledger.let_go()
        spent = self._spent_after(came.participants, self._beside(None))
        labels = self._labels(came.participants)
        return None if self.ledger.ask(server_round, labels, came.vectors_digest, spent) else REPEATED_WITH_ANOTHER_SUM

    def draw_ahead(self, num_weights: int) -> None:
        """Begin to draw the noise of the next release, beside what the caller does: it does not depend on the sum.

        Args:
            num_weights: of the sum.
        """
        if isinstance(self.protected_sum, ProtectedSum):
            self.protected_sum.draw_ahead(num_weights)

    def next(self, server_round: int, arrays: ArrayRecord, came: RoundReplies) -> tuple[Weights, PrivacySpent] | None:
        """Make the next release: it is on record, durably, when this returns.

        Args:
            server_round: in which it is made.
            arrays: the weights before it.
            came: from the hosts.

        Returns:
            (the next weights, what is spent with them); None if that would be above the budget, or if the phones have
            added the noise of a release of an earlier version that is on record.

        Raises:
            ConfigError: the mechanism or the optimizer gives something else than a number for each weight.
            LedgerError, OSError: the release could not be put on record; it is not made, and none is after it.
        """
        if self.protected_sum.releases != self.made:
            raise RuntimeError(expected("a further release", "one after the last that went well", "another"))
        labels, clip_norm = self._labels(came.participants), self.protected_sum.clip_norm
        below, reports = came.totals(clip_norm).reports_below, len(came.reported)
        self.draw_ahead(len(came.total))
        digest = at_once(
            lambda: digest_of_sum(
                self._digest_key, came.total, clip_norm=clip_norm, reports=reports, reports_below=below
            )
        )
        line = None if self.ledger.is_at_its_end else self.ledger.line_of(server_round, labels, digest.result())
        again = None if line is None else self._again(line, arrays, came, below)
        if again is not None:
            return again
        if line is None and self.plan.phone_noise is not None and self.ledger.has_round(server_round, released=True):
            return None
        spent = self._spent_after(came.participants, self._beside(None))
        if self._exceeds_budget(spent):
            return None
        if self.permit is not None:
            self.permit(spent)
        weights, state = self._next_weights(arrays, came, below, self.ledger.attempt(None))
        led_to = weights_digest(weights)
        self.ledger.record(server_round, labels, spent, Binding(digest.result(), led_to))
        self._count(came.participants, state, led_to)
        return weights, spent

    def _again(
        self, line: int, arrays: ArrayRecord, came: RoundReplies, below: int
    ) -> tuple[Weights, PrivacySpent] | None:
        """The release of a line on record, which is free; None, and nothing is changed, if it comes out otherwise."""
        spent = self._spent_after(came.participants, self._beside(line))
        before = copy.deepcopy(self.protected_sum.state())
        weights, state = self._next_weights(arrays, came, below, self.ledger.attempt(line))
        led_to = weights_digest(weights)
        if not self.ledger.repeats(line, led_to):
            self.protected_sum = protected_sum_of(self.plan, self._noise, FRACTION_BITS)
            self.protected_sum.load_state(before)
            return None
        self._count(came.participants, state, led_to)
        return weights, spent

    def _next_weights(
        self, arrays: ArrayRecord, came: RoundReplies, below: int, attempt: int
    ) -> tuple[Weights, OptimizerState]:
        """The weights after noise and a step of the optimizer, and the optimizer's state then; nothing is kept."""
        rate = learning_rate_at(self._settings, self.made, self.plan.rounds)
        noised = self.protected_sum.release(self._summed(came), len(came.reported), below, attempt)
        mean_update = (noised / self._cohort.goal).astype(np.float32)  # [num_weights]
        step, state = checked_step(self._optimizer, rate, mean_update, self._optimizer_state)
        return flat_weights(arrays) + step, state

    def _summed(self, came: RoundReplies) -> NDArray[Any]:
        """The sum as what protects it takes it: [num_weights].

        Raises:
            RuntimeError: phones have added noise that the plan does not have, or none.
        """
        if (came.noised is None) != (self.plan.phone_noise is None):
            raise RuntimeError(expected("the sum of a round", "the noise that the plan has", "another"))
        clip_norm = self.protected_sum.clip_norm
        if came.noised is not None:
            return came.noised * clip_norm
        return came.total if self.plan.sampler == "discrete" else to_float(came.total, clip_norm)

    def _count(self, participants: NDArray[np.int64], optimizer_state: OptimizerState, led_to: str) -> None:
        """Take over a release that is on record."""
        self.made, self.weights_sha256 = self.made + 1, led_to
        self.participation.record(self.made, participants)
        self._optimizer_state = optimizer_state

    def _spent_after(self, participants: NDArray[np.int64], beside: Beside) -> PrivacySpent:
        return privacy_after(self.plan, self.participation, self.made + 1, participants, beside)

    def _beside(self, line: int | None, everything: bool = False, **also: Any) -> Beside:
        """What was learnt beside the way to a line, or beside one that is to be written."""
        every = lambda: self._labels(np.arange(len(self.participation.counts)))  # noqa: E731
        return self.ledger.beside(every, line, everything, **also)

    def _exceeds_budget(self, spent: PrivacySpent) -> bool:
        budget = self.plan.epsilon_budget
        if budget is None or spent.epsilon is None or spent.epsilon <= budget:
            return False
        self.budget_reached = (
            f"the next release would take epsilon to {Bound(spent.epsilon):.4g}, above the budget of {budget:.4g}"
        )
        return True

    def go_back(self, phones: int, server_round: int, record: Record) -> None:
        """Go on from here without some phones, in another life of the run; see `PrivacyLedger.go_back`."""
        self.ledger.go_back(phones, server_round, record)

    def state(self) -> State:
        """All that a checkpoint needs besides the weights and the settings, by owner."""
        started = self._optimizer_state
        return {
            "participation": {
                "counts": self.participation.counts,
                "last": self.participation.last,
                "min_separation": np.array(self.participation.min_separation),
            },
            "noise": self.protected_sum.state(),
            "ledger": {"line": np.array(self.ledger.head), "key": np.frombuffer(self._digest_key, np.uint8)},
            "optimizer": {"started": np.array(started is not None), "moments": dict(started or {})},
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave.

        Raises:
            LedgerError: the ledger lacks a release that the state has made.
            StateError: it is not such a state, or says less of who took part than the ledger does.
        """
        noise, ledger = branch(state, "noise"), branch(state, "ledger")
        releases = int(leaf(noise, "releases"))
        if ledger:  # earlier versions have none
            self._digest_key = leaf(ledger, "key").tobytes()
        if len(self._digest_key) != KEY_BYTES:
            raise StateError(expected("ledger", f"a key of {KEY_BYTES} bytes", "another"))
        self.ledger.go_on_after(releases, int(leaf(ledger, "line")) if ledger else None)
        self.protected_sum.load_state(noise)
        self.made = releases
        participation, optimizer = branch(state, "participation"), branch(state, "optimizer")
        self.participation.counts = leaf(participation, "counts")
        self.participation.last = leaf(participation, "last")
        self.participation.min_separation = int(leaf(participation, "min_separation"))
        phones = np.arange(len(self.participation.counts))
        if not self.participation.equals(self.ledger.participation(self._labels(phones))):
            raise StateError(expected("participation", "who took part as the ledger records it", "another"))
        self._optimizer_state = leaves_of(branch(optimizer, "moments")) if leaf(optimizer, "started") else None
