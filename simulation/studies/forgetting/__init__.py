"""What it costs to forget phones exactly, and what is cheaper and not exact.

`arrivals` says when phones first took part, in a run or in a dry one; `replay_cost` what it costs to play the rounds
since again, by the checkpoints that are kept; `remains` what differential privacy leaves to be known of a phone that
stays in. `unlearning` is an approximate method, and `leak` what an attacker still learns after it, after a retraining
without the phones, and before either. The `_report` modules print.
"""
