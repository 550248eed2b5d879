"""What choosing the best of several private runs costs, were their number drawn at random.

Choosing costs: whoever sees which settings did best learns something of all runs. Composition charges every run. If
settings are drawn independently and their number K itself is random, choosing the best costs far less (Papernot and
Steinke, Hyperparameter Tuning with Renyi Differential Privacy, arXiv:2110.03620, Theorem 2): for K geometric of mean m,
little more than twice or three times what one run costs. A sweep with a number of trials that was fixed beforehand,
and a grid, may not claim it: for them it says what the same search would have cost.
"""

import math

from server_strategy.privacy.slow_imports import without_loss_distributions

_GEOMETRIC = 1.0  # shape of the truncated negative binomial distribution of the number of runs


def epsilon_of_the_best_of(rho: float, mean_trials: float, delta: float) -> float:
    """Epsilon of releasing the best of K runs, K geometric: by dp_accounting's RepeatAndSelectDpEvent.

    Args:
        rho: zCDP of each run.
        mean_trials: of the number of runs, > 1.
        delta: of the result.
    """
    if rho == 0:
        return 0.0
    without_loss_distributions()
    import dp_accounting  # not before an epsilon is asked for
    from dp_accounting import rdp

    one = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))
    event = dp_accounting.dp_event.RepeatAndSelectDpEvent(one, mean_trials, _GEOMETRIC)
    return float(rdp.RdpAccountant().compose(event).get_epsilon(delta))
