"""Readers of what others wrote: one for each kind of file, with stated limits; see `limits`.

They raise the error that the caller hands in, in one line that names the file and the place and repeats nothing of what
stands there. Libraries that read a kind of file themselves (Arrow, HDF5, SQLite) are held to the same limits where they
are used.
"""
