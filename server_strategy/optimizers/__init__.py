"""Server optimizers: how the mean update moves the weights, one module for each kind."""
