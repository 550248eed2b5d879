"""Audits: attacks on a run, or on settings, and what each came to beside the bound that it should have kept.

* `attack`: what an attack is told (`Subject`), and what it came to (`Attack`), as JSON too.
* `table`: every attack by name, and where it is; one more is a module here and a line there.
* `audit`: carries the attacks out, prints a table, writes and reads audit.json.
* `gate`: refuses a release whose audit is not within bounds.
* `canaries`: phones with updates that only they send. `canary_phones` are they and their hosts, `canary_play` plays
  rounds with them, `canary_scores` looks for them in the releases, `gaussian_estimate` and `one_run` make figures of
  the scores, `lone_canary` is one of them against everybody, `canary_table` all of it over mechanisms and targets,
  `canaries_trained` the same among phones that train.
* `membership`: who took part. `membership_scores` are figures and what limits them, `membership_shadows` the scores by
  models that the attacker trains, `membership_told` both as attacks, `membership_of_run` the attack on a run's model.
* `played_training`: training as a run's, in one process; `protected_training` in rounds, under each protection.

A passed audit proves nothing: a better attack may come tomorrow. A failed one does: something is other than is claimed.
"""
