"""Secure aggregation: a server that learns the sum of a round and no phone's own vector.

Pure modules, without Flower, Ray or TensorFlow: `phone` and `server` are the two state machines, `messages` is what
they say to each other, `round` plays both in one process. `distributed_noise` is noise that the phones add before.
"""
