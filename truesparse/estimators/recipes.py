"""Recipes made from the parameters of an estimator."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

from truesparse.estimators import epochs
from truesparse.evolution import Evolution, preset, suited_settings
from truesparse.network.architecture import Architecture
from truesparse.network.initial_weights import FanIn
from truesparse.network.losses import Loss
from truesparse.runtime.checks import check_number, is_count, plain
from truesparse.runtime.plugins import resolve
from truesparse.training.recipe import Recipe

# The parameters that may be short names, and their kinds of plug-ins.
_KINDS = {
    "activation": "activation",
    "weight_init": "initializer",
    "topology_init": "topology",
    "learning_rate": "learning_rate",
    "solver": "optimizer",
}

# The parameters that have the same names in a recipe.
_SAME_NAMES = ("epsilon", "density", "activation", "dtype", "alpha", "batch_size", "shuffle", "batch_transform", "tol")


def make_recipe(parameters: Mapping[str, Any], loss: Loss) -> Recipe:
    """Make the recipe of a fit from an estimator's parameters, each of them checked."""
    given = dict(parameters)
    if given["epsilon"] is not None and given["density"] is not None:
        raise ValueError(
            f"epsilon={given['epsilon']!r} and density={given['density']!r} both say how many weights there are; leave "
            "one of them None."
        )
    given |= {name: resolve(kind, given[name]) for name, kind in _KINDS.items()}
    suited = suited_settings(given["evolution"], given["topology_init"])
    given |= {name: suited[name] for name in ("activation", "weight_init") if given[name] is None}
    if given["dropout"] is None:
        given["dropout"] = 0.1 if loss.of_classes else 0.0
    return Recipe(
        loss=loss,
        hidden_layer_sizes=tuple(hidden_sizes(given["hidden_layer_sizes"], given["topology_init"])),
        topology=given["topology_init"],
        initializer=given["weight_init"],
        dropout=float(given["dropout"]),
        evolution=_evolution(given),
        optimizer=given["solver"],
        learning_rate=float(given["learning_rate_init"]),
        lr_schedule=given["learning_rate"],
        n_epochs=epochs.CANDIDATES[-1] if given["max_iter"] is None else given["max_iter"],
        patience=given["n_iter_no_change"],
        **{name: given[name] for name in _SAME_NAMES},
    )


def make_residual_recipe(parameters: Mapping[str, Any], loss: Loss, image_shape: tuple[int, int, int]) -> Recipe:
    """Make the recipe of a residual network."""
    given = {"hidden_layer_sizes": (), "epsilon": None, "activation": "relu", "dropout": 0.0, **parameters}
    if given["weight_init"] is None:
        given["weight_init"] = FanIn(1.0)
    distribution = given["distribution"]
    if not isinstance(distribution, str):
        for layer, share in enumerate(distribution):
            check_number(f"distribution[{layer}]", share, 0, 1, without=0)
        distribution = tuple(map(float, distribution))
    if hasattr(resolve("topology", given["topology_init"]), "counts"):
        given["density"] = None  # it says itself how many weights there are
    architecture = Architecture(image_shape, plain(given["depth"]), plain(given["width"]))
    return replace(make_recipe(given, loss), residual=architecture, distribution=distribution)


def hidden_sizes(hidden_layer_sizes: Any, topology: Any) -> list[int]:
    """Return the units of the hidden layers, which a first topology may tell; ValueError unless positive integers."""
    given = plain(hidden_layer_sizes)
    if given is None:
        if not hasattr(topology, "hidden_layer_sizes"):
            raise ValueError(
                f"hidden_layer_sizes=None needs a topology_init that tells them, such as LocalFields; {topology!r} "
                "does not."
            )
        return list(topology.hidden_layer_sizes)
    sizes: list[Any] = [given] if isinstance(given, Real | str) else list(given)
    if not all(map(is_count, sizes)):
        raise ValueError(f"hidden_layer_sizes={hidden_layer_sizes!r} must hold positive integers only.")
    return [int(size) for size in sizes]


def _evolution(given) -> Evolution | None:
    """Return the evolution with the schedule that `drop_fraction` and `update_every` ask for."""
    evolution = preset(given["evolution"]) if isinstance(given["evolution"], str) else given["evolution"]
    asked = {name: given[name] for name in ("drop_fraction", "update_every") if given[name] is not None}
    if evolution is None or not asked:
        return evolution
    schedule: Any = evolution.schedule
    try:
        return replace(evolution, schedule=replace(schedule, **asked))
    except TypeError as error:
        raise ValueError(
            f"{' and '.join(asked)} cannot be set, because the schedule {schedule!r} has no such field; set "
            "it in the schedule itself and leave the parameter None."
        ) from error
