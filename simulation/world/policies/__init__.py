"""Round policies: when a round closes, and whose updates are in it. The door is `server_strategy.policies.POLICIES`."""
