"""What an estimator shows of itself, on paper and in a notebook."""

import re

import numpy as np
import pytest
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from truesparse import SparseMLPClassifier


@pytest.fixture(scope="module")
def model():
    X = np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32)
    return SparseMLPClassifier((1200, 50), epsilon=1, max_iter=1, random_state=0).fit(X, np.arange(30) % 4)


def test_summary(model):
    # 1240 and 1250 connections, and a full output layer; of each 4 bytes for the weight and 4 for its place, and 4
    # for the bias and the end of the row of every unit, and for the beginning of the first one. A batch of 553 has 2²¹
    # products of a sample and one of 2,544 weights and 1,254 biases.
    assert model.summary().splitlines() == [
        "layer     inputs  units  weights  density    bytes",
        "hidden 1      40  1,200    1,240   2.583%  19.5 kB",
        "hidden 2   1,200     50    1,250   2.083%  10.4 kB",
        "output        50      4       54  27.000%    468 B",
        "all                        2,544   2.351%  30.4 kB",
        "A prediction takes 5,088 operations for each sample.",
        "Trained in 1 steps with 2,544 weights on average: 2,544 weights × steps.",
        "Several threads (n_jobs) speed up training from batch_size=553 on.",
    ]


def test_summary_needs_a_fitted_model():
    with pytest.raises(NotFittedError):
        SparseMLPClassifier().summary()


def test_html_has_parameters_and_once_fitted_the_layers(model):
    assert "hidden 1" not in SparseMLPClassifier()._repr_html_()
    html = model._repr_html_()
    assert "max_iter" in html
    cells = re.findall(r"<t[hd]>(.*?)</t[hd]>", html[html.index("truesparse-layers") :])
    assert cells[:6] == ["layer", "inputs", "units", "weights", "density", "bytes"]
    assert cells[6:12] == ["hidden 1", "40", "1,200", "1,240", "2.583%", "19.5 kB"]
    assert model._repr_mimebundle_()["text/html"].endswith("</table>")


def test_scikit_learns_settings_and_pipelines_are_respected(model):
    with config_context(display="text"):
        assert not hasattr(model, "_repr_html_")
        assert list(model._repr_mimebundle_()) == ["text/plain"]
    assert "SparseMLPClassifier" in make_pipeline(StandardScaler(), model)._repr_html_()
