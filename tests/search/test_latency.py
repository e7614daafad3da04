"""Latency: a limit is kept, speed is preferred only among equals, and the result tells it."""

from dataclasses import replace

import numpy as np
import pytest

from automl_xfer.errors import BackboneUnavailableError, ConfigError
from automl_xfer.search.ensemble import greedy_weights
from automl_xfer.search.run import run_search


def test_a_limit_that_no_backbone_keeps_is_said_in_a_sentence(options):
    with pytest.raises(BackboneUnavailableError, match=r"more than --max-latency-ms 0\.001"):
        run_search(replace(options, max_latency_ms=0.001))


def test_speed_takes_one_model_and_tells_its_milliseconds(options):
    result = run_search(replace(options, prefer="speed", trials=6)).result
    assert result["winner"]["kind"] == "single"
    assert 0 < result["winner"]["latency_ms"] < 5000
    assert any("The winner is one model; one image takes it about" in n for n in result["notes"])


@pytest.mark.parametrize("wrong", [{"prefer": "beauty"}, {"max_latency_ms": 0.0}])
def test_wrong_wishes_are_refused(options, wrong):
    with pytest.raises(ConfigError, match=r"--(prefer|max-latency-ms) must be"):
        replace(options, **wrong)


def test_the_ensemble_keeps_to_what_may_be_together():
    labels = np.arange(90) % 3
    random = np.random.default_rng(0)
    logits = 2 * np.eye(3)[labels] + 2 * random.standard_normal((4, 90, 3))
    stack = (np.exp(logits) / np.exp(logits).sum(2, keepdims=True)).astype(np.float32)
    of_label = stack[:, np.arange(90), labels]
    free = greedy_weights(of_label)
    assert np.count_nonzero(free) > 2

    def fits(chosen):
        return len(chosen) <= 2

    two = greedy_weights(of_label, fits)
    assert np.count_nonzero(two) == 2
    none = greedy_weights(of_label, lambda chosen: False)
    assert none.tolist() == [1, 0, 0, 0]
