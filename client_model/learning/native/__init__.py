"""The kernel in C, and what of it this machine has."""
