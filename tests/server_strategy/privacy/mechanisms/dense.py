"""Mechanisms made by name, and written down as dense matrices: what every kind is held against."""

import numpy as np
from scipy.linalg import toeplitz

from server_strategy.privacy.mechanisms.base import Horizon
from server_strategy.privacy.mechanisms.door import mechanism_kind
from server_strategy.privacy.mechanisms.record import made

PRIVATE = ("gaussian", "tree", "banded", "blt")
CASES = [(name, {}) for name in PRIVATE] + [("tree", {"tree_restart_rounds": rounds}) for rounds in (5, 8)]


def make(name, rounds=24, b=5, k=4, momentum=0.0, **settings):
    """The mechanism of a name for a number of rounds, b of them from one of at most k participations to the next."""
    return made(name, mechanism_kind(name).settings(**settings), Horizon(rounds, b, k, momentum))


def encoder(mechanism, rounds):
    """The matrix C whose product with the updates is what is released, written down densely."""
    if mechanism.name == "gaussian":
        return np.eye(rounds)
    if mechanism.name == "tree":
        return np.array([row for row, _ in tree_rows(rounds, mechanism.restart_every or rounds)])
    if mechanism.name == "banded":
        column = np.zeros(rounds)
        column[: len(mechanism.coefficients)] = mechanism.coefficients[:rounds]
        return np.tril(toeplitz(column))
    decay, scale = np.array(mechanism.buffer_decay), np.array(mechanism.output_scale)

    def column_of(length):
        return np.array([1.0, *(sum(scale * decay ** (t - 1)) for t in range(1, length))])

    return np.tril(toeplitz(column_of(rounds))) / np.linalg.norm(column_of(mechanism.rounds))


def tree_rows(rounds, restart):
    """(row of C, (round in which the node is complete, its height)), in the order in which nodes are drawn."""
    for t in range(rounds):
        start = t // restart * restart
        leaves = t - start + 1
        height = 0
        while leaves % 2**height == 0:
            row = np.zeros(rounds)
            row[t + 1 - 2**height : t + 1] = 1
            yield row, (t, height)
            height += 1


def residual_of_draws(mechanism, rounds):
    """Densely: the matrix that turns the draws into the noise of each release."""
    matrix = encoder(mechanism, rounds)
    if mechanism.name != "tree":
        return np.linalg.inv(matrix)
    restart = mechanism.restart_every or rounds
    sums = np.zeros((rounds, len(matrix)))  # noise in the sum of rounds 1 to t, by least squares on each tile
    for t in range(rounds):
        for start in range(0, t + 1, restart):
            begin, end = start, min(start + restart, t + 1)
            while begin < end:
                leaves = 2 ** ((end - begin).bit_length() - 1)
                under = [
                    i for i, row in enumerate(matrix) if row.any() and row[begin : begin + leaves].sum() == row.sum()
                ]
                part = matrix[np.ix_(under, range(begin, begin + leaves))]
                weights = np.ones(leaves) @ np.linalg.inv(part.T @ part) @ part.T
                sums[t, under] += weights
                begin += leaves
    return np.diff(sums, axis=0, prepend=0)


def play(mechanism, rounds, size, seed=0):
    """(noise of each release, the draws in order)."""
    rng, draws, stream = np.random.default_rng(seed), [], mechanism.stream()

    def draw(level):
        draws.append(rng.standard_normal(size))
        return draws[-1]

    return np.array([stream.next(draw) for _ in range(rounds)]), np.array(draws)
