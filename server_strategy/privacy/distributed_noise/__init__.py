"""Noise that phones add themselves, before secure aggregation: the server learns the noised sum and nothing else.

Each phone clips its update, rotates it so that its weight is spread evenly, scales it, rounds it to whole numbers, adds
its share of the noise and sends what is left modulo 2^bits (Kairouz, Liu and Steinke 2021, "The distributed discrete
Gaussian mechanism for federated learning with secure aggregation", arXiv:2102.06387, Algorithms 1 and 2; with Skellam
noise: Agarwal, Kairouz and Liu 2021, "The Skellam mechanism for differentially private federated learning",
arXiv:2110.04995). The server adds up modulo 2^bits and undoes scale and rotation.

| papers | here |
|---|---|
| n, d | phones, padded |
| c / gamma, or s c | clip_units: the clip norm in units of the ring |
| sigma / gamma of a client | share_stddev |
| b | bits |
| beta, k | RETRY_BOUND, deviations |
| Delta_2, Delta_1 | l2_sensitivity, l1_sensitivity |
| tau | tau |
"""
