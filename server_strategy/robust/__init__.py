"""Means that few attackers cannot move at will, over the sums of buckets of phones.

* `buckets`: which phones are added up together, by a seed, so that a rule needs no update of a single phone.
* `rules`: coordinate median, trimmed mean, Krum, multi-Krum, geometric median.
* `screening`: what is left out before anything is added up: by norm, by cosine.
* `config`: what a rule needs of a run's settings, and what it does not go with.
* `statements`: of each of them what it does to a privacy claim and to the denominator.

All are functions of arrays, the same for any order of the buckets but for the rounding of sums, and refuse what is not
finite. A claim of privacy goes with none of the rules: see `statements`.
"""
