"""Compiled loops over arrays, the only place that imports numba. They know nothing of networks.

`reference` says in plain NumPy what each kernel computes.
"""
