"""Sweeps: many settings of a run, each over several seeds, chosen by a grid, at random, or by what came before."""
