"""Whether an account has room for a run that goes back to forget phones: asked before anything is on record of it.

What it released before stays charged, and all that its plan may spend comes on top. An account without room for both
would stop it before its next release, after its model was deleted.
"""

from server_strategy.privacy.account import Account
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.run.account import run_number
from simulation.run.account_costs import most_of, terms_of


def require_room_to_go_back(config: RunConfig, plan: PrivacyPlan, salt: str, spent_rho: float) -> None:
    """Refuse to go back where the account has no room for what was released and for what is to be.

    Args:
        config: of the run.
        plan: of the run.
        salt: of the run.
        spent_rho: zCDP of all that its ledger records.

    Raises:
        AccountError: it has none, or was changed; or the run was given up.
    """
    path, run = config.privacy.account, run_number(salt)
    if path is None or not path.exists():  # whether there has to be one, the run asks when it is opened
        return
    account = Account.read(path)
    if run in account.charges:
        account.require_going(run)
    cost = most_of(plan, beside_rho=spent_rho)
    account.require_room(cost, terms_of(plan), config.privacy.total_epsilon, beside=run)
