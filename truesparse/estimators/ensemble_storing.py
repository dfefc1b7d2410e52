"""Ensembles as metadata and arrays, and back; a member's arrays have its number and a dot before their names."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from truesparse.estimators.ensemble import BaseSparseMLPEnsemble
from truesparse.estimators.ensemble_weights import Standing
from truesparse.estimators.storing import make, restore, store, versions
from truesparse.storage import Arrays, ModelFormatError, Section, encode, text_array

NOT_STORED = ("callbacks", "estimator")  # the estimator is stored as one


def store_ensemble(ensemble: BaseSparseMLPEnsemble, *, training: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return an ensemble as metadata and arrays, with the moments of its members if `training`."""
    parameters = ensemble.get_params(deep=False)
    metadata: dict[str, Any] = {
        "class": type(ensemble).__name__,
        "parameters": {name: encode(parameters[name], name) for name in parameters if name not in NOT_STORED},
        "estimator": None if ensemble.estimator is None else store(ensemble.estimator)[0],
        "libraries": versions(),
        "fitted": None,
    }
    if not ensemble.__sklearn_is_fitted__():
        return metadata, {}
    stored = [store(member, training=training) for member in ensemble.estimators_]
    arrays = {f"{i}.{name}": array for i, (_, own) in enumerate(stored) for name, array in own.items()}
    arrays["mix"] = ensemble.weights_
    if hasattr(ensemble, "feature_names_in_"):
        arrays["feature_names"] = text_array("feature_names_in_", ensemble.feature_names_in_.tolist())
    metadata["fitted"] = {
        "members": [described for described, _ in stored],
        "standings": [
            {key: str(x) if isinstance(x, float) and not math.isfinite(x) else x for key, x in asdict(standing).items()}
            for standing in ensemble._standings
        ],
        "out_of_fold": [ensemble.oof_score_, ensemble.oof_loss_] if hasattr(ensemble, "oof_loss_") else None,
    }
    return metadata, arrays


def restore_ensemble(
    metadata: dict[str, Any], stored_arrays: dict[str, np.ndarray], cls: Any, classes: Mapping[str, type]
) -> BaseSparseMLPEnsemble:
    """Return the ensemble of `store_ensemble`; `classes` are those that its members can have."""
    section = Section(metadata, "metadata.json")
    section.take("class", str)
    section.take("libraries", dict)
    allowed = {name: kind for name, kind in classes.items() if kind in cls._parameter_constraints["estimator"]}
    estimator = None
    if not section.is_null("estimator"):
        estimator, _ = restore(section.take("estimator", dict), {}, allowed)
    ensemble = make(cls, section.take("parameters", dict), NOT_STORED).set_params(estimator=estimator)
    if section.is_null("fitted"):
        Arrays(stored_arrays).close()
    else:
        _restore_fitted(ensemble, section.section("fitted"), stored_arrays, allowed)
    section.close()
    return ensemble


def _restore_fitted(ensemble, section, stored_arrays, classes):
    described = section.take("members", list)
    own: list[dict[str, np.ndarray]] = [{} for _ in described]
    rest = {}
    for name, array in stored_arrays.items():
        number, _, name_in_member = name.partition(".")
        if number.isascii() and number.isdigit() and int(number[:9]) < len(own):
            own[int(number[:9])][name_in_member] = array
        else:
            rest[name] = array
    members = [restore(content, part, classes)[0] for content, part in zip(described, own, strict=True)]
    if not members or not all(hasattr(member, "_run") for member in members):
        raise ModelFormatError("An ensemble needs members, and all of them fitted.")
    first, arrays = members[0], Arrays(rest)
    for member in members:
        alike = [_shape_of_results(model) for model in (member, first)]
        if alike[0] != alike[1]:
            raise ModelFormatError(f"The members of an ensemble do not fit together: {alike[0]}, {alike[1]}.")
    weights = arrays.numbers("mix", np.dtype(np.float64), (len(members),))
    if not ((weights > 0).all() and abs(weights.sum() - 1) < 1e-6):
        raise ModelFormatError("The weights of the members must be above 0 and add up to 1.")
    if arrays.has("feature_names"):
        names = arrays.take("feature_names", "U", (first.n_features_in_,))
        ensemble.feature_names_in_ = names.astype(object)
    arrays.close()
    standings = [_restore_standing(Section(content, "standings")) for content in section.take("standings", list)]
    if sum(standing.n_members for standing in standings) != len(members):
        raise ModelFormatError("The standings of the methods are not those of the members.")
    if not section.is_null("out_of_fold"):
        out_of_fold = section.take("out_of_fold", list)
        if not (len(out_of_fold) == 2 and all(type(x) is float for x in out_of_fold)):
            raise ModelFormatError(f"out_of_fold={out_of_fold!r:.100} must hold a score and a loss.")
        ensemble.oof_score_, ensemble.oof_loss_ = out_of_fold
    section.close()
    ensemble.n_features_in_ = first.n_features_in_
    ensemble.estimators_, ensemble.weights_, ensemble._standings, ensemble._lead = members, weights, standings, first


def _restore_standing(section):
    take: dict[Any, Any] = {str: lambda key: section.take(key, str), int: section.count, float: section.number}
    values = {field.name: take[field.type](field.name) for field in fields(Standing)}
    section.close()
    return Standing(**values)


def _shape_of_results(member):
    learnt, arrays = member._store_learnt()
    classes = arrays["classes"].tolist() if "classes" in arrays else None
    return member.n_features_in_, member._n_outputs(), str(member._network.dtype), learnt, classes
