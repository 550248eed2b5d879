"""The life of a run: what is prepared, its folder, its checkpoints, its outcome and what a person sees of it."""
