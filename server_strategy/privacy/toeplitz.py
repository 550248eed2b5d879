"""Noise that cancels over rounds: lower-triangular Toeplitz factorisations of the prefix sum.

A matrix mechanism releases C x + noise instead of x, where row t of x is the sum of updates in
round t, and lets the server see x + C^-1 z: noise whose parts cancel in the sums over rounds that
the model is made of. A Toeplitz C is given by its first column, the coefficients c.

* Banded: c has as many entries as two participations of one phone are rounds apart, so that no two
  of them meet in a row (Choquette-Choo et al., "(Amplified) banded matrix factorization",
  arXiv:2306.08153; the optimisation over c follows McKenna, arXiv:2405.15913).
* Buffered linear (BLT): c_0 = 1 and c_t = sum_i omega_i theta_i^(t-1), whose inverse is computed with
  as many vectors of memory as there are theta (Dvijotham et al., arXiv:2404.16706, Algorithm 1;
  with several participations Kalinin and Lampert, arXiv:2405.13763, and McMahan et al.,
  arXiv:2408.08868).

Sensitivity. A phone takes part at most k times, at least b rounds from one time to the next. If c is
non-negative and non-increasing, the worst it can do is to take part in rounds 1, 1 + b, 1 + 2b, ...
(arXiv:2405.13763, Theorem 2), and the squared sensitivity is that of the sum of these columns.
Everything else raises: no bound is guessed.

| paper | here |
|---|---|
| n, b, k | rounds, min_separation, max_participations |
| c, d = c^-1 | coefficients, inverse |
| theta, omega | buffer_decay, output_scale |

Coefficients of both families are scaled so that c has norm 1 over the run: one participation then
costs 1 / (2 z^2), as with independent noise.

All vectors are float64.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy  # its parts are imported when they are first used
import threadpoolctl
from numpy.typing import NDArray

from typefleet.errors import InputError, expected

Vector = NDArray[np.float64]
_TOLERANCE = 1e-12


def inverse_coefficients(coefficients: Vector, rounds: int) -> Vector:
    """First column of C^-1: float64 [rounds]."""
    impulse = np.zeros(rounds)
    impulse[0] = 1.0
    found: Vector = scipy.signal.lfilter([1.0], coefficients, impulse)
    return found


def sum_errors(inverse: Vector, momentum: float = 0.0) -> Vector:
    """Variance of the noise in what the server has summed up after each round, for unit draws.

    With momentum m the sum is the one of momentum SGD, round s counting (1 - m^(t-s+1)) / (1 - m) in
    round t; without, it is the prefix sum.

    Returns:
        float64 [rounds].
    """
    return np.cumsum(_workload(inverse, momentum) ** 2)


def check_monotone(coefficients: Vector) -> None:
    """Refuse coefficients for which the sensitivity is not known.

    Raises:
        InputError: a coefficient is negative, not finite, or larger than the one before.
    """
    if not (
        len(coefficients)
        and np.isfinite(coefficients).all()
        and coefficients[0] > 0
        and coefficients[-1] >= 0
        and (np.diff(coefficients) <= _TOLERANCE * coefficients[0]).all()
    ):
        raise InputError(expected("Toeplitz coefficients", "ones that are positive and never increase", "others"))


def sensitivity_squared(coefficients: Vector, rounds: int, min_separation: int, max_participations: int) -> float:
    """Largest squared change one phone of norm 1 can make to the first `rounds` rows of C x.

    Args:
        coefficients: first column of C; zero beyond its end.
        rounds: rows looked at.
        min_separation: rounds from one participation to the next, at least (1: every round).
        max_participations: of one phone.

    Raises:
        InputError: the coefficients are not monotone, or a count is below 1.
    """
    check_monotone(coefficients)
    if min(rounds, min_separation, max_participations) < 1:
        found = f"{rounds}, {min_separation}, {max_participations}"
        raise InputError(expected("rounds, min_separation, max_participations", "numbers >= 1", found))
    column = _padded(coefficients, rounds)
    together = _worst_columns(column, min_separation, max_participations)
    return float(together @ together)


def optimal_banded(rounds: int, bands: int, momentum: float = 0.0) -> Vector:
    """Coefficients of the banded Toeplitz mechanism with the least mean squared error of the sums.

    Exact sensitivity k |c|^2 needs bands <= min_separation, so that the columns of one phone's rounds do
    not overlap.

    Returns:
        float64 [min(bands, rounds)], of norm 1.

    Raises:
        InputError: the optimum is not monotone, so that its sensitivity is not known.
    """
    bands = min(bands, rounds)
    start = np.cumprod(np.concatenate([[1.0], (2 * np.arange(1, bands) - 1) / (2 * np.arange(1, bands))]))

    def objective(c: Vector) -> tuple[float, Vector]:
        error, slope = _error_and_slope(c, rounds, momentum, lambda x: scipy.signal.lfilter([1.0], c, x))
        energy = float(c @ c)
        return math.log(error * energy), slope / error + 2 * c / energy

    found = _minimised(objective, start, {"maxiter": 500, "ftol": 1e-15})
    coefficients: Vector = found.x / np.linalg.norm(found.x)
    check_monotone(coefficients)
    return coefficients


def blt_coefficients(buffer_decay: Vector, output_scale: Vector, rounds: int) -> Vector:
    """c_0 = 1, c_t = sum_i omega_i theta_i^(t-1): float64 [rounds]."""
    powers = buffer_decay[:, None] ** np.arange(rounds - 1)  # [buffers, rounds - 1]
    return np.concatenate([[1.0], output_scale @ powers])


def optimal_blt(
    rounds: int, min_separation: int, max_participations: int, buffers: int, momentum: float = 0.0
) -> tuple[Vector, Vector]:
    """(buffer_decay, output_scale), each float64 [buffers], of the least mean squared error of the sums.

    Raises:
        InputError: no monotone solution was found.
    """

    def objective(x: Vector) -> tuple[float, Vector]:
        return _blt_objective(x, rounds, min_separation, max_participations, momentum)

    best = None
    for count in range(1, buffers + 1):
        starts = _blt_starts(rounds, count) + ([] if best is None else _with_one_more_buffer(best.x))
        for start in starts:
            found = _minimised(objective, start, {"maxiter": 1000, "ftol": 1e-13})
            if np.isfinite(found.fun) and (best is None or len(best.x) < 2 * count or found.fun < best.fun):
                best = found
    if best is None:
        raise InputError(expected("buffered linear Toeplitz mechanism", "one with a finite error", "none"))
    decay, scale = _blt_parameters(best.x)
    order = np.argsort(-decay)
    decay, scale = decay[order], scale[order]
    check_monotone(blt_coefficients(decay, scale, max(rounds, 2)))
    return decay, scale


def _minimised(
    objective: Callable[[Vector], tuple[float, Vector]], start: Vector, options: dict[str, float]
) -> "scipy.optimize.OptimizeResult":
    """The least of a function that also returns its slope, by L-BFGS-B.

    In one thread: the method multiplies matrices of a dozen rows some thousand times, for each of which a second
    thread is woken and waited for, at twenty times the time of the product.
    """
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        return scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)


def _padded(coefficients: Vector, rounds: int) -> Vector:
    column = np.zeros(rounds)
    column[: len(coefficients)] = coefficients[:rounds]
    return column


def _worst_columns(column: Vector, min_separation: int, max_participations: int) -> Vector:
    """Sum of the columns of rounds 1, 1 + b, 1 + 2b, ...: float64 [rounds]."""
    rounds = len(column)
    together = np.zeros(rounds)
    for begin in range(0, min(max_participations * min_separation, rounds), min_separation):
        together[begin:] += column[: rounds - begin]
    return together


def _workload(vector: Vector, momentum: float) -> Vector:
    """What the server's sums make of a column: prefix sums, then momentum."""
    sums = np.cumsum(vector)
    return scipy.signal.lfilter([1.0], [1.0, -momentum], sums) if momentum else sums


def _error_and_slope(
    c: Vector, rounds: int, momentum: float, solve: Callable[[Vector], Vector]
) -> tuple[float, Vector]:
    """(mean squared error, its derivative by each of c); `solve` applies C^-1.

    With d = C^-1 e_0 the derivative of d_t by c_j is -(C^-1 d)_(t-j), so one more solve, with C
    transposed, gives them all.
    """
    impulse = np.zeros(rounds)
    impulse[0] = 1.0
    inverse = solve(impulse)
    sums = _workload(inverse, momentum)
    weights = np.arange(rounds, 0, -1) / rounds  # a column's entry s stands in rounds - s rows
    error = float(weights @ sums**2)
    by_inverse = _workload((2 * weights * sums)[::-1], momentum)  # adjoint of the workload, reversed
    adjoint = solve(by_inverse)[::-1]
    slope = -scipy.signal.fftconvolve(adjoint, inverse[::-1])[rounds - 1 : rounds - 1 + len(c)]
    return error, slope


def _blt_parameters(x: Vector) -> tuple[Vector, Vector]:
    decay, scale = np.split(x, 2)
    return scipy.special.expit(decay), np.exp(np.minimum(scale, 50.0))  # a line search may step far outside


def _blt_starts(rounds: int, buffers: int) -> list[Vector]:
    """Decays from a few rounds to the whole run; scales that make c_t near the square root's t^-1/2."""
    starts = []
    for longest in (rounds, 10 * rounds):
        memory = np.geomspace(2.0, max(longest, 4), buffers)  # rounds that a buffer remembers
        decay = 1 - 1 / memory
        scale = memory**-0.5
        scale *= 0.6 / scale.sum()
        starts.append(np.concatenate([np.log(decay / (1 - decay)), np.log(scale)]))
    return starts


def _with_one_more_buffer(x: Vector) -> list[Vector]:
    """Starts at a solution with a buffer less; the new one hardly counts yet."""
    decay, scale = np.split(x, 2)
    memory = np.array([1.1, 2.0, 10.0, 100.0])  # rounds that the new buffer remembers
    return [np.concatenate([decay, [math.log(m - 1)], scale, [math.log(0.02)]]) for m in memory]


def _blt_objective(
    x: Vector, rounds: int, min_separation: int, max_participations: int, momentum: float
) -> tuple[float, Vector]:
    """(log of error times squared sensitivity, its derivative); the parameters are logit theta, log omega."""
    decay, scale = _blt_parameters(x)
    if scale.sum() > 1:  # c_1 > c_0: outside; the line search steps back
        return 1e3 + float(scale.sum()), np.concatenate([np.zeros_like(scale), scale])
    c = blt_coefficients(decay, scale, rounds)
    numerator, denominator = _transfer_function(decay, scale)
    error, error_slope = _error_and_slope(
        c, rounds, momentum, lambda v: scipy.signal.lfilter(numerator, denominator, v)
    )
    together = _worst_columns(c, min_separation, max_participations)
    energy = float(together @ together)
    # d together / d c is the sum of shifts; its adjoint shifts back.
    energy_slope = np.zeros(rounds)
    for begin in range(0, min(max_participations * min_separation, rounds), min_separation):
        energy_slope[: rounds - begin] += 2 * together[begin:]
    by_c = (error_slope / error + energy_slope / energy)[1:]  # [rounds - 1]; c_0 is fixed
    steps = np.arange(rounds - 1)
    powers = decay[:, None] ** steps  # [buffers, rounds - 1]
    by_scale = powers @ by_c
    by_decay = scale * ((powers * steps) @ by_c) / decay
    slope = np.concatenate([by_decay * decay * (1 - decay), by_scale * scale])
    return math.log(error * energy), slope


def _transfer_function(decay: Vector, scale: Vector) -> tuple[Vector, Vector]:
    """C^-1 as a rational filter: Q / P with Q = prod(1 - theta_i x) and P = Q + sum_i omega_i x Q_without_i."""
    q = np.poly(decay)
    p = q.copy()
    for i in range(len(decay)):
        p[1:] += scale[i] * np.poly(np.delete(decay, i))
    return q, p
