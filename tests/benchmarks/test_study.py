"""What the study of methods makes of its file, and what its report makes of the figures."""

from pathlib import Path

import numpy as np
import pytest
from helpers import benchmark_modules
from numpy.testing import assert_allclose

from truesparse.data import datasets

pytest.importorskip("matplotlib")

_data, _rows, methods, report = benchmark_modules("study", "_data", "_rows", "methods", "report")

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

TINY = ["--data", "digits", "--methods", "static", "set", "--seeds", "2", "--steps", "26", "--label", "tiny", "--set",
        "hidden_layer_sizes=(20,)", "batch_size=100", "update_every=5"]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.csv"


def run(path, *options):
    assert methods.main([*TINY, *options, "--csv", str(path)]) == 0
    return _rows.read(path)


def row(**columns):
    plain = {"data": "digits", "method": "set", "settings": "defaults", "epsilon": "1", "seed": 0, "split": 42,
             "budget": "9 steps", "test accuracy": "0.5", "parameters": '{"alpha": 0.1, "max_iter": 7}'}  # fmt: skip
    return dict.fromkeys(_rows.COLUMNS, "") | plain | columns


def test_a_torn_line_is_cut_off_and_only_its_run_is_repeated(path, capsys):
    first = run(path)
    assert [r["method"] for r in first] == ["static", "set"] * 2
    assert all(r["epochs"] == "2" and r["steps"] == "26" and not r["error"] for r in first)
    assert all((int(r["replaced"]) > 0) == (r["method"] == "set") for r in first)
    path.write_bytes(path.read_bytes()[:-30])
    capsys.readouterr()
    again = run(path)
    assert "4 runs, 3 of them done before" in capsys.readouterr().out
    assert again[:3] == first[:3]
    assert again[3] | {"seconds": ""} == first[3] | {"seconds": ""}


def test_other_values_make_other_runs(path):
    run(path)
    assert len(run(path, "--seeds", "3")) == 6
    assert len(run(path, "--steps", "39")) == 10
    assert len(run(path, "--set", "hidden_layer_sizes=(20,)", "update_every=4")) == 14
    assert len(run(path, "--repeat-splits")) == 16  # seed 0 has the same split as before


def test_a_failed_run_is_recorded_and_tried_again(path, monkeypatch):
    _data._whole.cache_clear()
    load = datasets.load

    def fail(*arguments, **options):
        raise RuntimeError("the disk\nis gone")

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "load", fail)
        assert methods.main([*TINY, "--csv", str(path)]) == 4
    assert [r["error"] for r in _rows.read(path)] == ["RuntimeError: the disk is gone"] * 4
    assert datasets.load is load
    rows = run(path)
    assert [bool(r["error"]) for r in rows] == [True] * 4 + [False] * 4
    assert len(report.load([path])[0]) == 4


def test_names_that_do_not_exist_are_said_before_anything_runs(path, capsys):
    for option in (
        ["--methods", "minst"],
        ["--set", "alhpa=1"],
        ["--methods", "cte", "--set", "evolution.grow.alhpa=1"],
    ):
        with pytest.raises(SystemExit):
            methods.main([*TINY, *option, "--csv", str(path)])
        assert option[-1].partition("=")[0].split(".")[-1] in capsys.readouterr().err
    assert not path.exists()


def test_a_file_with_other_columns_is_left_alone(path):
    path.write_text("a,b\n1,2")
    with pytest.raises(ValueError, match=r"study\.csv holds other columns than a study has: a, b"):
        _rows.repair(path)
    assert path.read_text() == "a,b\n1,2"


def test_a_file_that_ends_within_its_header_begins_anew(path):
    path.write_bytes(b"data,meth")
    assert _rows.repair(path) == 9
    _rows.append(path, row(error='a "quoted", text'))
    assert _rows.read(path)[0]["error"] == 'a "quoted", text'


def test_the_key_is_what_was_asked_for_not_what_came_of_it():
    key = _rows.key(row())
    assert key == _rows.key(row(weights=5, parameters='{"max_iter": 9, "alpha": 0.1, "epsilon": 2, "n_jobs": 2}'))
    assert key != _rows.key(row(parameters='{"alpha": 0.2}'))
    for column in ("data", "method", "settings", "epsilon", "seed", "split", "budget"):
        assert key != _rows.key(row(**{column: "other"}))


def test_a_method_by_name_has_the_key_of_its_rules():
    by_name = methods.parameters_of("cte", "defaults", {})
    by_rules = methods.parameters_of("cte", "defaults", {"evolution.grow.centred": True})
    other = methods.parameters_of("cte", "defaults", {"evolution.grow.centred": False})
    plain, same, different = (_rows.as_json(methods._spelt_out(p)) for p in (by_name, by_rules, other))
    assert plain == same != different
    assert "Cosine(centred=False" in different


def test_snip_and_dense_are_methods_and_dense_has_no_epsilon():
    for settings in methods.SETTINGS:
        snip, dense = (methods.parameters_of(method, settings, {}) for method in ("snip", "dense"))
        assert methods._takes_epsilon(snip)
        assert not methods._takes_epsilon(dense)
        assert methods._spelt_out(snip)["evolution"] is methods._spelt_out(dense)["evolution"] is None
        assert "SNIP(n_samples=" in _rows.as_json(methods._spelt_out(snip))


def test_other_rules_leave_the_activation_that_suits_the_method():
    by_name, changed = (
        methods.parameters_of("set", "defaults", overrides) for overrides in ({}, {"evolution.grow_init": 1.0})
    )
    assert repr(by_name["activation"]) == "AllReLU(slope=0.6)"
    assert all(changed[name] == by_name[name] for name in ("activation", "weight_init", "dropout"))


@pytest.mark.parametrize("name", ["methods", "methods_published", "methods_confirmed", "methods_sklearn"])
def test_rows_with_parameters_that_are_gone_are_reported_and_are_no_new_runs(name):
    path = RESULTS / f"{name}.csv"
    recorded = _rows.read(path)
    rows, n_left_out = report.load([path])
    assert len(rows) == len(recorded)
    assert n_left_out == 0
    keys = {_rows.key(row) for row in recorded}
    for row in {(row["method"], row["settings"]): row for row in recorded}.values():
        if row["settings"] in methods.SETTINGS:
            parameters = methods.parameters_of(row["method"], row["settings"], {})
            now = row | {"parameters": _rows.as_json(methods._spelt_out(parameters))}
            assert _rows.key(now) not in keys


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=3", 3), ("a=(5, 6)", (5, 6)), ("a=set", "set"), ("a=None", None), ("a=inf", float("inf")), ("a==", "=")],
)
def test_values_of_the_command_line(text, value):
    assert methods.assignment(text) == ("a", value)


def test_rules_of_the_command_line():
    assert repr(methods.assignment("evolution.grow=Random()")[1]) == "Random()"


def test_budgets_are_rounded_to_whole_epochs():
    assert methods.epochs_of("3000 steps", 2000, 100, 0.15) == (176, 2992)
    assert methods.epochs_of("1 steps", 2000, 100, 0.15) == (1, 17)
    assert methods.epochs_of("30 epochs", 60_000, 100, 0.15) == (30, 15_300)


def test_mnist_10000_has_the_shares_of_mnist(monkeypatch, rng):
    y = np.repeat([0, 1], [9000, 6000])
    whole = datasets.Dataset(np.arange(15_000, dtype=np.float32)[:, None], y, np.zeros((3, 1)), np.zeros(3))
    monkeypatch.setattr(_data, "_whole", lambda name, split: whole if name == "mnist" else None)
    first, second = (_data.load("mnist_10000", None, seed) for seed in (0, 1))
    assert np.bincount(first.y_train).tolist() == [6000, 4000]
    assert first.X_test is whole.X_test
    assert set(first.X_train.ravel()) != set(second.X_train.ravel())


def test_mean_ranks_share_ties():
    assert_allclose(report.mean_ranks([[0.9, 0.8, 0.7], [0.5, 0.5, 0.6]]), [1.75, 2.25, 2.0])


def test_critical_differences_are_those_of_the_published_table():
    # Demšar, 2006, table 5a; there they are divided by √2 already.
    for alpha, published in (
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ):
        for k, q in enumerate(published, 2):
            n_data = k * (k + 1) / 6  # the root is 1
            assert report.critical_difference(k, n_data, alpha) == pytest.approx(q, abs=1.1e-3)
    assert report.critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)  # his example


def test_bars_connect_what_does_not_differ():
    ranks = [1.964, 2.000, 2.893, 3.143]  # his example: at 0.10 the last differs from the first two
    assert report.cliques(ranks, 1.12) == [(0, 2), (2, 3)]
    assert report.cliques(ranks, 1.25) == [(0, 3)]
    assert report.cliques(ranks, 0.01) == []


def test_rows_with_other_parameters_than_the_last_are_left_out(path):
    for seed, alpha, accuracy in ((0, 0.1, 0.5), (1, 0.1, 0.6), (0, 0.2, 0.7), (0, 0.2, 0.8)):
        _rows.append(path, row(**{"seed": seed, "test accuracy": accuracy, "parameters": f'{{"alpha": {alpha}}}'}))
    rows, n_left_out = report.load([path])
    assert [r["test accuracy"] for r in rows] == ["0.8"]
    assert n_left_out == 2


def test_the_report_has_tables_and_plots(path, tmp_path):
    run(path, "--epsilons", "1", "2")
    run(path, "--methods", "dense")
    report.main([str(path), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("| `set` |") == 4  # accuracies and weights, of two epsilons
    assert "over 2 seeds" in text
    assert {file.name for file in (tmp_path / "out").glob("*.png")} == {
        "density_26_steps.png", "curves_epsilon_1_26_steps.png", "curves_epsilon_2_26_steps.png",
    }  # fmt: skip
