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


def test_no_more_are_named_than_tell_apart_and_at_most_three():
    pair = [trial(k, "one", **dict.fromkeys("abcde", k)) for k in (1, 2)]
    assert told_apart(pair)[1] == "one (a 1)"
    bits = [{name: k >> place & 1 for place, name in enumerate("abcd")} for k in range(16)]
    sixteen = [trial(k, "one", **each) for k, each in enumerate(bits)]
    assert told_apart(sixteen)[5] == "one (a 1, b 0, c 1)"


def test_what_separates_is_named_first_and_after_its_axis_where_two_have_the_name():
    rows = [(1, 1, 1), (1, 1, 2), (2, 2, 1)]
    trials = [trial(k, "one", a=a, b=b, c=c) for k, (a, b, c) in enumerate(rows)]
    assert len(set(told_apart(trials).values())) == 3
    for k, each in enumerate(trials):
        each.strategy = {"head": {"name": "h", "t": k // 2}, "alignment": {"name": "x", "t": k % 2}}
    assert told_apart(trials)[1] == "one (head t 0, alignment t 1)"
