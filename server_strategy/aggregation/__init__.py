"""How the updates of one round become a sum that shows no single phone."""
