"""Estimators and ensembles write their parameters and docstrings out, and must not drift apart."""

import inspect
import re

import pytest

from truesparse import (
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)

PAIRS = [(SparseMLPClassifier, SparseMLPRegressor), (SparseMLPEnsembleClassifier, SparseMLPEnsembleRegressor)]
KINDS = [kind for pair in PAIRS for kind in pair]
OWN = {"class_weight", "label_smoothing", "loss", "estimator"}
OWN_RESULTS = {"classes_", "target_mean_, target_scale_", "estimators_", "oof_score_, oof_loss_", "oof_predictions_"}


def signature(kind):
    return {name: p for name, p in inspect.signature(kind.__init__).parameters.items() if name != "self"}


def documented(kind, section="Parameters"):
    """What the docstring says of each parameter, by name."""
    text = inspect.getdoc(kind)
    body = re.search(rf"^{section}\n-+\n(.*?)\n\n(?=\S+( \S+)*\n-+\n)", text, re.MULTILINE | re.DOTALL)[1]
    parts = re.split(r"^(\w+(?:, \w+)*) : ", "\n" + body, flags=re.MULTILINE)[1:]
    assert len(parts) % 2 == 0
    texts = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    if section == "Parameters":  # related ones share an entry
        return {name: text for names, text in texts.items() for name in names.split(", ")}
    return texts


def shared(names):
    return [name for name in names if name not in OWN]


@pytest.mark.parametrize("pair", PAIRS)
def test_parameters_are_the_same_in_the_same_order_with_the_same_defaults(pair):
    first, second = (signature(kind) for kind in pair)
    assert shared(first) == shared(second)
    assert len(shared(first)) >= 7
    for name in shared(first):
        assert (first[name].default, first[name].kind) == (second[name].default, second[name].kind), name
        assert type(first[name].default) is type(second[name].default), name


@pytest.mark.parametrize("pair", PAIRS)
def test_parameters_are_described_in_the_same_words(pair):
    first, second = (documented(kind) for kind in pair)
    for name in shared(first):
        assert first[name] == second[name], name


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_documented_is_what_there_is(kind):
    assert list(documented(kind)) == list(signature(kind))
    assert set(signature(kind)) == set(kind().get_params()) == set(kind._parameter_constraints)


@pytest.mark.parametrize("kind", KINDS)
def test_documented_defaults_are_those_of_the_signature(kind):
    text, parameters = documented(kind), signature(kind)
    for name, parameter in parameters.items():
        default = text[name].splitlines()[0].partition("default=")[2]
        assert default, name
        assert eval(default, {"__builtins__": {}}) == parameter.default, name  # literals


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_not_too_many_and_none_is_hidden(kind):
    parameters = signature(kind)
    assert len(parameters) <= 31
    kinds = {parameter.kind for parameter in parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    positional = [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert positional == list(parameters)[:1]


@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_fitted_is_described_in_the_same_words(pair):
    first, second = (documented(kind, "Attributes") for kind in pair)
    assert first.keys() ^ second.keys() <= OWN_RESULTS
    for name in first.keys() & second.keys() - OWN_RESULTS:
        assert first[name] == second[name], name


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_is_kept_as_it_is_given(kind):
    """As scikit-learn's clone needs it."""
    for name in signature(kind):
        value = object()
        assert getattr(kind(**{name: value}), name) is value
