"""Runs on several machines under Flower's SuperLink: keys and certificates, made here with nobody else's help."""
