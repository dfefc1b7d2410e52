import os
import subprocess
import sys

PROGRAM = """
import numba
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
import truesparse
truesparse.warmup(batch_sizes=[20])
compiled = []
numba.core.dispatcher.Dispatcher.compile, compile = (
    lambda self, signature: (compiled.append(self.py_func.__name__), compile(self, signature))[1],
    numba.core.dispatcher.Dispatcher.compile,
)
X, y = load_digits(return_X_y=True)
for data, evolution in ((X / 16, "cte"), (csr_array(X), "set")):
    for solver, n_jobs in (("adam", 1), ("adam", 2), ("sgd", 1), ("sgd", 2)):
        model = truesparse.SparseMLPClassifier(
            (200, 200, 200), batch_size=20, epsilon=5, max_iter=1, update_every=5, evolution=evolution, solver=solver,
            n_jobs=n_jobs,
        )
        model.fit(data, y).predict(data)
print(compiled)
"""


def test_nothing_is_left_to_compile_after_the_warmup():
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=dict(os.environ), capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
