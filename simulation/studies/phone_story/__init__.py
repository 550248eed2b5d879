"""What left one phone: its part in a run, found again from what the run keeps, and told to its owner."""
