"""From a CSV file to a model that works elsewhere
===============================================

Train on a table with columns of numbers and of text and with gaps; tune, plot, save, and load in another program.

::

    pip install . pandas matplotlib
    python examples/14_a_csv_file.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from truesparse import SparseMLPClassifier

# Write a file of 1,000 customers. If you have a table, read that.
folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
age, calls, plan = rng.integers(18, 90, 1000), rng.poisson(2.0, 1000), rng.choice(["basic", "family", "work"], 1000)
leaves = (calls > 2) & (plan != "work") | (age < 30) & (plan == "basic")
table = pd.DataFrame({"age": age, "calls": calls, "plan": plan, "leaves": np.where(leaves, "yes", "no")})
table["age"] = table["age"].mask(rng.random(1000) < 0.05)  # gaps
table.to_csv(folder / "customers.csv", index=False)

table = pd.read_csv(folder / "customers.csv")
X_train, X_test, y_train, y_test = train_test_split(table.drop(columns="leaves"), table["leaves"], random_state=0)
encoded = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
    (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
)

# %%
# Tune: `epsilon` sets the number of weights, and `max_iter` the epochs.
model = make_pipeline(encoded, SparseMLPClassifier((100, 100), max_iter=40, random_state=0))
search = GridSearchCV(model, {"sparsemlpclassifier__epsilon": [1, 5, 20]}, cv=3).fit(X_train, y_train)
network = search.best_estimator_[-1]
print(f"{search.best_params_}: accuracy {search.score(X_test, y_test):.3f}, {network.n_parameters_:,} numbers")

# %%
# Plot the training loss, which `loss_curve_` has for every epoch.
axes = pd.Series(network.loss_curve_, name="training loss").plot(xlabel="epoch", ylabel="loss", legend=True)
axes.figure.savefig(folder / "curve.png")

# %%
# Save the whole pipeline, and load it in another program. joblib runs code in a file: load only files of your own.
joblib.dump(search.best_estimator_, folder / "model.joblib")
X_test.head(3).to_csv(folder / "new.csv", index=False)
program = "import joblib, pandas; print(joblib.load('model.joblib').predict(pandas.read_csv('new.csv')))"
print(subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True).stdout)
