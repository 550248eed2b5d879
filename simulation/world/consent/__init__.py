"""Consent over time: to what the owner of each phone agrees, by purpose, from when until when."""
