"""Differential privacy: noise mechanisms, their exact cost, the plan, the ledger and the statement of a run."""
