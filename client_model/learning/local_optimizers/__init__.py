"""How a phone's weights move from step to step while it trains."""
