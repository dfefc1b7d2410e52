"""Compiled loops over arrays. The only place that imports numba, and it knows nothing of networks.

`reference` says in plain NumPy what each kernel computes.
"""
