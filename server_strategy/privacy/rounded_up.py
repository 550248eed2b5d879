"""A bound in few digits that is never below the bound: whoever reads it may hold the run to it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_CEILING, Context, Decimal
from typing import Self

from typefleet.errors import expected

_ALL_DIGITS = Context(prec=400)  # of the largest float, and some behind its point


class Bound(float):
    """An epsilon, a delta or a rho as it is stated: formatted, it is rounded up, in decimal, at the digits shown.

    It takes forms with a number of digits, such as `.3g`, `.2f` or `,.0f`.
    """

    __slots__ = ()

    def __new__(cls, value: float | None) -> Self:
        """Of a bound that there is.

        Raises:
            TypeError: it is None.
        """
        if value is None:
            raise TypeError(expected("a bound that is stated", "a number", "none"))
        return super().__new__(cls, value)

    def __format__(self, form: str) -> str:
        value = float(self)
        if isinstance(self, _TO_NEAREST.get()) or not math.isfinite(value) or not value:
            return format(value, form)
        exact, digits = Decimal(repr(value)), int(form[-2])
        last = -digits if form.endswith("f") else exact.adjusted() - digits + 1
        return format(float(exact.quantize(Decimal(1).scaleb(last), ROUND_CEILING, _ALL_DIGITS)), form)


class BoundOnMu(Bound):
    """The same of mu of Gaussian differential privacy, which was rounded up later than the others were."""

    __slots__ = ()


_TO_NEAREST: ContextVar[tuple[type[Bound], ...]] = ContextVar("to_nearest", default=())


@contextmanager
def as_earlier_builds_round(what: type[Bound] = Bound) -> Iterator[None]:
    """Bounds to the nearest digit, as statements had them before they were rounded up: to compare with one of those.

    Args:
        what: which bounds; by default all.
    """
    token = _TO_NEAREST.set((what,))
    try:
        yield
    finally:
        _TO_NEAREST.reset(token)


class BoundOnEarlierRho(Bound):
    """The same of rho of an earlier run, which was rounded up later than the others were."""

    __slots__ = ()


class Left(float):
    """What is left of an epsilon or a rho, as it is stated: formatted, it is rounded down, as a `Bound` is up."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        return f"{Bound(-float(self)):{form}}".removeprefix("-")
