"""Noise mechanisms: what each release is protected with, and its exact cost; one module for each kind."""
