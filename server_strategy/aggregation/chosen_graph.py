"""The graph of a round whose neighbours or threshold are set, held to the same conditions as the derived one."""

from functools import lru_cache

from server_strategy.aggregation.graph import Assumptions, GraphSize, graph_size, sparse_threshold
from typefleet.errors import ConfigError, expected


@lru_cache(maxsize=1024)
def chosen_size(phones: int, assumptions: Assumptions, neighbours: int | None, threshold: int | None) -> GraphSize:
    """The graph of so many phones.

    Args:
        phones: of the round.
        assumptions: what it has to withstand.
        neighbours: of each phone; as few as do if None; all others, if there are not more.
        threshold: shares that recover a secret; the fewest that are safe if None.

    Raises:
        ConfigError: the graph does not withstand what is assumed.
    """
    derived = graph_size(phones, assumptions)
    if neighbours is None:
        size = derived
    elif neighbours >= phones - 1 or derived.complete:
        size = derived if derived.complete else _complete(phones, assumptions)
        if neighbours < size.neighbours:
            raise ConfigError(
                expected("--aggregation.neighbours", f"all {size.neighbours} others, or none set", neighbours)
            )
    else:
        safe = None if neighbours % 2 else sparse_threshold(phones, neighbours, assumptions)
        if safe is None:
            least = f"an even number >= {derived.neighbours} for {phones} phones and the shares that are assumed"
            raise ConfigError(expected("--aggregation.neighbours", least, neighbours))
        size = GraphSize(phones, neighbours, safe, derived.least_survivors)
    if threshold is None:
        return size
    if not size.threshold <= threshold <= size.neighbours:
        safe_ones = f"a number from {size.threshold} to {size.neighbours} for {phones} phones"
        raise ConfigError(expected("--aggregation.threshold", safe_ones, threshold))
    least_survivors = threshold + 1 if size.complete else size.least_survivors
    return GraphSize(phones, size.neighbours, threshold, least_survivors)


def _complete(phones: int, assumptions: Assumptions) -> GraphSize:
    """The complete graph, where a sparse one would do."""
    return graph_size(phones, Assumptions(**{**vars(assumptions), "complete_up_to": phones}))
