"""Choosing without target labels: gates, ranks and ties."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.components import PseudoTarget
from automl_xfer.evaluation.unlabelled import (
    Candidate,
    collapsed,
    mean_ranks,
    open_gates,
    pool_of,
)
from automl_xfer.plugin.source import PluginSource


def one_hot(classes, k=3, sure=0.9):
    p = np.full((len(classes), k), (1 - sure) / (k - 1), np.float32)
    p[np.arange(len(classes)), classes] = sure
    return p


SOURCE_LABELS = np.array([0, 1, 2] * 10)


def candidate(target_classes, source_right=1.0, sure=0.9):
    source = SOURCE_LABELS.copy()
    wrong = round((1 - source_right) * len(source))
    source[:wrong] = (source[:wrong] + 1) % 3
    return Candidate(one_hot(target_classes, sure=sure), one_hot(source), SOURCE_LABELS)


@pytest.fixture(scope="module")
def validators():
    _, catalog = PluginSource().load()
    return [validator() for validator in catalog.classes["validator"].values()]


BALANCED = np.array([0, 1, 2] * 20)


def test_a_class_that_vanishes_is_a_collapse():
    reference = candidate(BALANCED)
    without_class_two = np.where(BALANCED == 2, 0, BALANCED)
    assert collapsed(candidate(without_class_two), reference)
    assert not collapsed(candidate(BALANCED[::-1]), reference)


def test_a_class_into_which_source_only_collapsed_may_shrink_back():
    nearly_all_two = candidate(np.where(np.arange(60) < 54, 2, BALANCED))
    assert not collapsed(candidate(BALANCED), nearly_all_two)  # 20 of 60 in place of 56
    assert not collapsed(candidate(np.where(np.arange(60) < 4, 2, BALANCED % 2)), nearly_all_two)
    assert collapsed(candidate(BALANCED % 2), nearly_all_two)  # none at all


def test_to_learn_from_a_harmful_source_alone_closes_the_gate():
    rows = np.arange(30) < 10
    at_chance = replace(candidate(BALANCED, source_right=2 / 3), learnt_from=rows)
    sound = replace(candidate(BALANCED, source_right=2 / 3), learnt_from=~rows)
    assert open_gates([at_chance, sound], sound) == [False, True]


def test_the_source_gate_closes_below_the_tolerance():
    reference = candidate(BALANCED)
    near, far = (candidate(BALANCED, source_right=right) for right in (0.95, 0.8))
    assert open_gates([reference, near, far], reference) == [True, True, False]


def test_a_third_that_fits_the_source_better_shuts_nobody_out(validators):
    reference, mixture = candidate(BALANCED, 0.8, sure=0.7), candidate(BALANCED, 0.8)
    fitted = candidate(np.where(np.arange(60) < 20, np.roll(BALANCED, 1), BALANCED), 1.0, sure=0.8)
    ranks = mean_ranks([reference, mixture, fitted], validators, reference)
    assert (ranks > 0).all()


def test_without_source_only_no_one_trial_is_the_measure_of_collapse():
    assert open_gates([candidate(BALANCED), candidate(BALANCED % 2)], None) == [True, False]


def test_on_few_images_a_collapse_of_most_classes_closes_the_gate():
    labels = np.arange(40) % 10
    source = one_hot(labels, 10)
    few = Candidate(one_hot(labels, 10), source, labels)
    assert collapsed(replace(few, target=one_hot(np.zeros(40, int), 10)), few)
    assert not collapsed(replace(few, target=one_hot(np.minimum(labels, 8), 10)), few)


def test_a_kind_speaks_by_its_first_two_behind_open_gates():
    closed, first, second, third = (candidate(np.full(60, k)) for k in (0, 1, 1, 2))
    gates, kinds = [False, True, True, True], ["kind"] * 4
    pool = pool_of([closed, first, second, third], gates, kinds)
    np.testing.assert_allclose(pool, first.target)
    alone = pool_of([closed, third], [False, True], kinds[:2])
    np.testing.assert_allclose(alone, third.target)


def held_out(each, right):
    labels = np.arange(100) % 3
    predicted = np.where(np.arange(100) < 100 * right, labels, (labels + 1) % 3)
    return replace(each, pseudo_target=PseudoTarget(one_hot(predicted), labels))


def test_who_fails_on_a_held_out_source_ranks_behind_who_does_not(validators):
    same = candidate(BALANCED)
    ranks = mean_ranks([held_out(same, r) for r in (0.8, 0.82, 0.2)], validators, same)
    assert ranks[2] < ranks[0] < ranks[1]


def test_a_fit_that_failed_on_the_held_out_source_scores_as_chance():
    labels = np.repeat([0, 1], [70, 30])
    alike = PseudoTarget(np.full((100, 2), 0.5, np.float32), labels)
    assert alike.accuracy == 0.5


def test_a_held_out_source_on_which_all_fail_tells_nothing(validators):
    same = candidate(BALANCED)
    ranks = mean_ranks([held_out(same, r) for r in (0.35, 0.4, 0.2)], validators, same)
    assert len(set(ranks.tolist())) == 1


def test_leaving_a_source_out_closes_no_gate():
    reference = candidate(BALANCED)
    wrong_on_the_first_ten = candidate(BALANCED, source_right=2 / 3)
    leaves_them_out = replace(wrong_on_the_first_ten, learnt_from=np.arange(30) >= 10)
    assert open_gates([wrong_on_the_first_ten, leaves_them_out], reference) == [False, True]


def test_a_validator_without_an_answer_is_not_heard(validators):
    class Silent(type(validators[0])):
        def score(self, predictions):
            return float("nan")

    everyone = [candidate(BALANCED, sure=sure) for sure in (0.7, 0.8, 0.9)]
    heard = mean_ranks(everyone, validators, everyone[0])
    np.testing.assert_array_equal(mean_ranks(everyone, [*validators, Silent()], everyone[0]), heard)


def test_a_confident_collapse_ranks_behind_everything(validators):
    reference = candidate(BALANCED, sure=0.7)
    good = candidate(BALANCED, sure=0.9)
    trap = candidate(np.zeros(60, int), sure=0.999)
    ranks = mean_ranks([reference, good, trap], validators, reference)
    assert ranks[2] == -1.0
    assert ranks[1] > ranks[0] > 0


def test_agreement_separates_equally_confident_candidates(validators):
    reference = candidate(BALANCED)
    agreeing = candidate(BALANCED)
    rolled = candidate(np.roll(BALANCED, 1))  # as sure and as even, but alone
    ranks = mean_ranks([reference, agreeing, rolled], validators, reference)
    assert ranks[1] > ranks[2]
