"""Folds of an ensemble: every member leaves one of them out, stops early by it, and predicts it."""

import warnings
from typing import Any

import numpy as np
from sklearn.utils import check_array

from truesparse._typing import IndexArray
from truesparse.estimators.labels import shown
from truesparse.runtime.checks import refuse_masked


def checked_groups(groups: Any, n_samples: int) -> np.ndarray:
    """Return the groups of the samples, (n_samples,)."""
    refuse_masked("groups", groups)
    groups = check_array(groups, ensure_2d=False, dtype=None, input_name="groups")
    if groups.shape != (n_samples,):
        raise ValueError(f"groups must have the shape ({n_samples},), a group for each sample, got {groups.shape}.")
    return groups


def fold_numbers(
    n_samples: int, classes: np.ndarray | None, groups: np.ndarray | None, n_folds: int, seed: int, *, fewest: int
) -> IndexArray:
    """Return the fold of every sample, (n_samples,), from 0.

    Folds have the same shares of the `classes` (n_samples,), if there are some, and no group is in two of them. Raises
    ValueError if a fold would have less than `fewest` samples, or all samples of a class.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        kind = KFold if classes is None else StratifiedKFold
    else:
        kind = GroupKFold if classes is None else StratifiedGroupKFold
    asked = f"n_folds={n_folds!r} cannot divide n_samples={n_samples}"
    asked += "" if groups is None else f" in {np.unique(groups).size} groups"
    remedy = "choose fewer folds, or n_folds=1, which trains all members on all samples"
    folds = np.full(n_samples, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of rare classes, which are checked below
        try:
            splits = kind(n_folds, shuffle=True, random_state=seed).split(np.empty((n_samples, 1)), classes, groups)
            for number, (_, held_out) in enumerate(splits):
                folds[held_out] = number
        except ValueError as error:
            raise ValueError(f"{asked}: {error} Of these, {remedy}.") from error
    sizes = np.bincount(folds, minlength=n_folds)
    if sizes.min() < fewest:
        raise ValueError(f"{asked} such that each fold has {fewest} or more, as its score needs: {remedy}.")
    for of_class in [] if classes is None else np.unique(classes):
        within = np.unique(folds[classes == of_class])
        if within.size == 1:
            raise ValueError(
                f"{asked}: fold {within[0] + 1} has all {np.count_nonzero(classes == of_class)} samples of the class "
                f"{shown(np.asarray([of_class]))[1:-1]} in y, which its members would not know. Give every class two "
                f"samples or more{'' if groups is None else ' in different groups'}, or choose n_folds=1, which "
                "trains all members on all samples."
            )
    return folds
