"""Sparse networks: layers, activations, losses, parameters, and the two passes."""
