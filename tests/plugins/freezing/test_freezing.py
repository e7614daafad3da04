"""Freezing policies at their boundaries."""

import pytest
from automl_xfer_plugins.freezing.frozen_depth import FrozenDepth
from automl_xfer_plugins.freezing.full import FullFineTuning
from automl_xfer_plugins.freezing.linear_probe import LinearProbe
from automl_xfer_plugins.freezing.lp_ft import LinearProbeThenFineTune

from automl_xfer.components import ParameterInfo
from automl_xfer.errors import ComponentError


def trained_stages(policy, n_stages):
    infos = [ParameterInfo("weight", stage, n_stages, False, False) for stage in range(n_stages)]
    return [info.stage for info in infos if policy.is_trainable(info, epoch=0)]


@pytest.mark.parametrize(
    ("depth", "trained"),
    [(0.0, [0, 1, 2, 3]), (0.25, [1, 2, 3]), (0.26, [2, 3]), (0.75, [3]), (0.76, [3]), (1.0, [3])],
)
def test_frozen_depth_freezes_the_first_fraction(depth, trained):
    assert trained_stages(FrozenDepth(depth), 4) == trained


def test_lp_ft_trains_all_but_the_frozen_fraction_after_the_head():
    assert LinearProbeThenFineTune.head_first
    assert trained_stages(LinearProbeThenFineTune(), 5) == [0, 1, 2, 3, 4]
    assert trained_stages(LinearProbeThenFineTune(depth=0.9), 5) == [4]
    assert trained_stages(LinearProbeThenFineTune(depth=0.9), 1) == [0]
    assert trained_stages(LinearProbeThenFineTune(depth=0.8), 5) == [4]
    with pytest.raises(ComponentError, match="depth must be between"):
        LinearProbeThenFineTune(depth=0.95)


def test_probe_trains_none_and_full_trains_all():
    assert trained_stages(LinearProbe(), 3) == []
    assert trained_stages(FullFineTuning(), 3) == [0, 1, 2]
    assert not FullFineTuning.head_first


def test_what_they_provide_decides_between_closed_form_and_gradient():
    assert LinearProbe.provides == {"frozen", "fitted_head"}
    assert LinearProbeThenFineTune.provides == {"trainable", "fitted_head"}
    assert all(policy.provides == {"trainable"} for policy in (FrozenDepth, FullFineTuning))
