"""Conformance checks for components, in the way of scikit-learn's `check_estimator`.

@parametrize_with_checks([MyLoss])
def test_it_conforms(component, check):
    check(component)
"""

from automl_xfer.testing.check import Check
from automl_xfer.testing.conformance import check_component, checks_for, parametrize_with_checks
from automl_xfer.testing.toy_domains import (
    ToyDomains,
    toy_batches,
    toy_features,
    toy_images,
    toy_model,
)

__all__ = [
    "Check",
    "ToyDomains",
    "check_component",
    "checks_for",
    "parametrize_with_checks",
    "toy_batches",
    "toy_features",
    "toy_images",
    "toy_model",
]
