"""What each command does: parse its flags, call one function, print. One module for each script and subcommand.

A module has `Flags`, the dataclass of its flags, and `main(argv)`, which returns an exit code or None for 0;
`simulation.subcommands` lists them.
"""
