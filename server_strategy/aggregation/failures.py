"""What goes wrong in a round of secure aggregation, by cause, so that it can be counted."""

from typing import Any, Literal

from typefleet.errors import InputError, TypefleetError, expected

Cause = Literal[
    "malformed",  # bytes that are no message of this step
    "oversized",  # more than the step's limits allow
    "wrong_round",
    "wrong_sender",  # says that it is of somebody else than who delivered it
    "replayed",  # the second of a step, or of a step that is over
    "unknown_phone",  # names a phone that has no part in this step
    "bad_key",  # a public key that no honest phone has
    "bad_signature",
    "bad_share",  # does not open, or does not fit those of the other phones
    "bad_terms",  # fewer neighbours than agreed on, or other ones
    "split_view",  # other survivors than the neighbours were shown
]
FailureCause = Literal[
    "too_few_advertised",
    "too_few_shared",
    "too_few_masked",
    "too_few_confirmed",
    "too_few_unmasked",
    "shares_do_not_fit",
    "too_few_buckets",  # of those that a round's phones were dealt out to, each a session of its own
]


class ProtocolViolation(InputError):
    """A message that is refused; the sender is treated as if it had said nothing.

    Attributes:
        cause: why, to be counted.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cause, str(self))


class RoundFailedError(TypefleetError):
    """The round ends without a sum, and nothing of it can be unmasked.

    Attributes:
        cause: which step was left by too many phones.
    """

    def __init__(self, cause: FailureCause, message: str) -> None:
        super().__init__(message)
        self.cause: FailureCause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cause, str(self))


def violation(cause: Cause, where: object, expectation: str, found: object) -> ProtocolViolation:
    """The error of a message in which `where` is not as expected."""
    return ProtocolViolation(cause, expected(where, expectation, found))


def round_failed(cause: FailureCause, where: object, expectation: str, found: object) -> RoundFailedError:
    """The error of a round that cannot go on."""
    return RoundFailedError(cause, expected(where, expectation, found))
