"""Trials of one description are told apart by what differs, and by no more."""

from types import SimpleNamespace

from automl_xfer.study.descriptions import told_apart


def trial(id, description, **alignment):
    strategy = {
        "alignment": {"name": "adabn", **alignment},
        "regularizer": {"name": "distillation", "teacher": str(id)},
    }
    return SimpleNamespace(id=id, description=description, strategy=strategy)


def test_those_that_share_a_description_add_what_differs():
    trials = [
        trial(1, "one · adabn", mix=0.5, batch_size=8),
        trial(2, "one · adabn", mix=1.0, batch_size=8),
        trial(3, "two · adabn", mix=0.3, batch_size=8),
    ]
    expected = {1: "one · adabn (mix 0.5)", 2: "one · adabn (mix 1)", 3: "two · adabn"}
    assert told_apart(trials) == expected


def test_repeats_of_one_strategy_and_parameters_that_only_one_has_add_nothing():
    repeats = [trial(1, "one", mix=0.5), trial(2, "one", mix=0.5)]
    assert told_apart(repeats) == {1: "one", 2: "one"}
    assert told_apart([trial(1, "one", mix=0.5), trial(2, "one")]) == {1: "one", 2: "one"}


def test_at_most_three_parameters_are_named():
    trials = [trial(k, "one", **dict.fromkeys("abcde", k)) for k in (1, 2)]
    assert told_apart(trials)[1] == "one (a 1, b 1, c 1)"
