"""Checks of heads: what `build` and `fit` make."""

import torch
from torch import Tensor, nn

from automl_xfer.components import Head
from automl_xfer.testing.check import Check, expect, seeded
from automl_xfer.testing.expectations import expect_shape
from automl_xfer.testing.toy_domains import FEATURE_DIM, NUM_CLASSES, toy_features

_ABSENT = NUM_CLASSES  # one class more than the toy domains have


def check_stages_read_is_a_count(head: Head) -> None:
    sound = isinstance(head.stages_read, int) and head.stages_read >= 1
    expect(sound, f"stages_read is {head.stages_read!r}; give a whole number, 1 for the features")


def check_built_module_gives_logits(head: Head) -> None:
    features = toy_features().source
    module = _ready(head).build(FEATURE_DIM, NUM_CLASSES)
    expect_shape(module(features), (len(features), NUM_CLASSES), "the built module's output")


def check_fitted_module_gives_logits(head: Head) -> None:
    domains = toy_features()
    weight = torch.linspace(0.5, 1.5, len(domains.source))
    groups = torch.arange(len(domains.source)) // (2 * NUM_CLASSES)
    options = {"sample_weight": weight, "groups": groups}
    module = _fit(head, domains.source, domains.source_labels, NUM_CLASSES, **options)
    if module is not None:
        logits = module(domains.source)
        expect_shape(logits, (len(domains.source), NUM_CLASSES), "the fitted module's output")


def check_fitted_module_is_the_same_for_the_same_seed(head: Head) -> None:
    domains, logits = toy_features(), []
    for _ in range(2):
        with seeded():
            module = _fit(head, domains.source, domains.source_labels, NUM_CLASSES)
        if module is None:
            return
        logits.append(module(domains.source))
    same = torch.allclose(logits[0], logits[1], atol=1e-3)
    expect(same, "two fits differ; draw from torch's generator, or fix the seed")


def check_fitted_state_loads_into_the_built_module(head: Head) -> None:
    domains = toy_features()
    fitted = _fit(head, domains.source, domains.source_labels, NUM_CLASSES)
    if fitted is None:
        return
    built = _ready(head).build(FEATURE_DIM, NUM_CLASSES)
    built.load_state_dict(fitted.state_dict())
    same = torch.allclose(built.eval()(domains.target), fitted.eval()(domains.target), atol=1e-4)
    expect(same, "the loaded module predicts otherwise; keep all that fit learns in buffers")


def check_class_without_a_sample_gets_the_lowest_score(head: Head) -> None:
    domains = toy_features()
    module = _fit(head, domains.source, domains.source_labels, NUM_CLASSES + 1)
    if module is None:
        return
    logits = module(domains.target)
    expect_shape(logits, (len(domains.target), NUM_CLASSES + 1), "the output")
    lowest = logits[:, _ABSENT] <= logits[:, :_ABSENT].amin(1)
    expect(lowest.all(), "it does not everywhere; give such a class a large negative score")


def check_one_sample_of_a_class_is_enough(head: Head) -> None:
    domains = toy_features()
    kept = (domains.source_labels != 0) | (torch.arange(len(domains.source)) == 0)
    module = _fit(head, domains.source[kept], domains.source_labels[kept], NUM_CLASSES)
    if module is not None:
        logits = module(domains.target)
        expect_shape(logits, (len(domains.target), NUM_CLASSES), "the output")


def _ready(head: Head) -> Head:
    """The head for the toy features, in as many blocks as it reads stages."""
    blocks = head.stages_read
    if blocks == 1:
        return head
    width = FEATURE_DIM // blocks
    return head.on_stages((*[width] * (blocks - 1), FEATURE_DIM - width * (blocks - 1)))


def _fit(
    head: Head, features: Tensor, labels: Tensor, num_classes: int, **options: Tensor
) -> nn.Module | None:
    with torch.no_grad():
        return _ready(head).fit(features, labels, num_classes, **options)


CHECKS = (
    Check(check_stages_read_is_a_count),
    Check(check_built_module_gives_logits),
    Check(check_fitted_module_gives_logits, hook="fit"),
    Check(check_fitted_module_is_the_same_for_the_same_seed, hook="fit"),
    Check(check_fitted_state_loads_into_the_built_module, hook="fit"),
    Check(check_class_without_a_sample_gets_the_lowest_score, hook="fit"),
    Check(check_one_sample_of_a_class_is_enough, hook="fit"),
)
