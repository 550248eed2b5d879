"""Flower on Ray: the engine, the exchange of messages, and the hosts that train phones."""
