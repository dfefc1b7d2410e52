"""Threads that sleep while they wait.

These fits are so small that two threads mostly wait for each other. Waiting busily, as OpenMP's do unless told
otherwise, takes twenty times as long on a machine that has other work. Results do not depend on it.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
