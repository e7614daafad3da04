"""Folds and hold-outs: stratified, seeded, no class lost, no group torn."""

import numpy as np
import pytest

from automl_xfer.data import default_folds, holdout, stratified_folds
from automl_xfer.errors import DataError


def check_sides(pairs, n, labels):
    for train, held in pairs:
        assert not set(train) & set(held)
        assert sorted([*train, *held]) == list(range(n))
        assert set(labels[held]) <= set(labels[train])


def test_every_fold_has_its_share_of_each_class():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 25, 10]))
    folds = stratified_folds(labels, 5, seed=1)
    check_sides(folds, 85, labels)
    for _, held in folds:
        assert np.bincount(labels[held]).tolist() == [10, 5, 2]
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(85))


def test_the_seed_decides():
    labels = np.repeat([0, 1], 20)
    first, again, other = (stratified_folds(labels, 4, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_rare_classes_stay_in_training():
    labels = np.array([0] * 12 + [1] * 2 + [2])
    folds = stratified_folds(labels, 4, seed=0)
    assert len(folds) == 4
    check_sides(folds, 15, labels)
    held = np.concatenate([held for _, held in folds])
    assert 14 not in held
    assert {12, 13} <= set(held)


def test_groups_are_never_torn():
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(5), 12))
    groups = np.arange(60)
    groups[random.integers(0, 60, 25)] = groups[random.integers(0, 60, 25)]
    for seed in range(10):
        folds = stratified_folds(labels, 4, seed, groups)
        check_sides(folds, 60, labels)
        for train, held in [*folds, holdout(labels, 0.2, seed, groups)]:
            assert not set(groups[train]) & set(groups[held])


def test_a_class_that_is_one_group_stays_in_training():
    labels = np.array([0] * 6 + [1] * 4)
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 6, 6, 6])
    held = np.concatenate([held for _, held in stratified_folds(labels, 3, 0, groups)])
    assert sorted(held) == [0, 1, 2, 3, 4, 5]


def test_holdout_takes_its_fraction_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    train, held = holdout(labels, 0.2, seed=0)
    check_sides([(train, held)], 113, labels)
    assert np.bincount(labels[held], minlength=4).tolist() == [20, 2, 1, 0]


def test_one_fold_is_a_holdout():
    labels = np.repeat([0, 1], 50)
    ((train, held),) = stratified_folds(labels, 1, seed=7)
    assert (len(train), len(held)) == (80, 20)
    np.testing.assert_array_equal(held, holdout(labels, 0.2, 7)[1])


def test_nothing_to_hold_out():
    for n_folds in (1, 3):
        with pytest.raises(DataError, match="No class has two different images"):
            stratified_folds(np.arange(4), n_folds, 0)


@pytest.mark.parametrize(
    ("counts", "folds"),
    [
        ([5] * 7, 5),
        ([250, 250], 5),
        ([251, 250], 3),
        ([1500, 1500], 3),
        ([1501, 1500], 1),
        ([3] * 7, 3),
        ([1] * 7, 2),
        ([20, 20, 20, 2, 0, 1], 5),  # rare classes do not halve what the others train on
    ],
)
def test_default_folds(counts, folds):
    assert default_folds(np.repeat(np.arange(len(counts)), counts)) == folds
