"""Checks of alignment methods: each hook that the class overrides."""

import torch
from torch import Tensor, nn

from automl_xfer.components import AlignmentMethod, Batch
from automl_xfer.testing.check import Check, expect, seeded
from automl_xfer.testing.expectations import (
    expect_gradient,
    expect_same_layout,
    expect_scalar,
    expect_shape,
    expect_unchanged,
    state_of,
    tensors_of,
)
from automl_xfer.testing.toy_domains import (
    FEATURE_DIM,
    NUM_CLASSES,
    toy_batches,
    toy_features,
    toy_images,
    toy_model,
)

_PROGRESS = (0.0, 0.5, 1.0)
_SIZES = ((12, 7), (6, 14))  # of source and target


def check_it_trains_on_a_domain_that_exists(method: AlignmentMethod) -> None:
    known = method.trains_on and method.trains_on <= {"source", "target"}
    expect(known, f"trains_on is {set(method.trains_on)}; name 'source', 'target' or both")


def check_loss_is_a_finite_scalar_for_unequal_batches(method: AlignmentMethod) -> None:
    for sizes in _SIZES:
        for progress in _PROGRESS:
            source, target = toy_batches(*sizes, two_views=method.two_views)
            loss = _loss(method, source, target, progress)
            expect_scalar(loss, f"the loss of {sizes[0]} source and {sizes[1]} target images")


def check_loss_is_differentiable(method: AlignmentMethod) -> None:
    source, target = toy_batches(two_views=method.two_views)
    leaves = [source.features, target.features]
    if target.strong is not None:
        leaves.append(target.strong.features)
    expect_gradient(_loss(method, source, target), leaves, "the loss")


def check_loss_does_not_change_its_inputs(method: AlignmentMethod) -> None:
    source, target = toy_batches(two_views=method.two_views)
    before = [tensor.detach().clone() for tensor in tensors_of(source, target)]
    _loss(method, source, target)
    expect_unchanged(before, tensors_of(source, target), "a batch given to the loss")


def check_loss_is_the_same_for_the_same_seed(method: AlignmentMethod) -> None:
    source, target = toy_batches(two_views=method.two_views)
    values = []
    for _ in range(2):
        with seeded():
            values.append(_loss(method, source, target).item())
    expect(values[0] == values[1], f"it is {values[0]} and then {values[1]}; draw from torch")


def check_task_weights_are_shares(method: AlignmentMethod) -> None:
    for progress in _PROGRESS:
        weights = method.task_weights(progress)
        sound = len(weights) == 2 and min(weights) >= 0 and 0 < sum(weights) < float("inf")
        expect(sound, f"they are {weights} at {progress}; give two numbers of at least 0, not both")


def check_transformed_source_keeps_shape_and_type(method: AlignmentMethod) -> None:
    for n_source, n_target in ((6, 4), (4, 6)):
        images = toy_images(n_source, n_target)
        before = [images.source.clone(), images.target.clone()]
        changed = method.transform_source(images.source, images.target)
        expect_shape(changed, tuple(images.source.shape), "what transform_source returned")
        expect(changed.dtype == torch.uint8, f"it returned {changed.dtype}; return torch.uint8")
        expect_unchanged(before, [images.source, images.target], "the images")


def check_maps_have_matching_widths(method: AlignmentMethod) -> None:
    domains = toy_features()
    before = [domains.source.clone(), domains.target.clone()]
    with torch.no_grad():
        maps = method.align(domains.source, domains.source_labels, domains.target)
        if maps is None:
            return
        source = maps.source_map(domains.source) if maps.source_map else domains.source
        target = maps.target_map(domains.target) if maps.target_map else domains.target
    expect_shape(target, (len(domains.target), source.shape[1]), "the mapped target")
    expect_shape(source, (len(domains.source), target.shape[1]), "the mapped source")
    expect_unchanged(before, [domains.source, domains.target], "the features")


def check_sample_weights_have_mean_one(method: AlignmentMethod) -> None:
    domains = toy_features()
    with torch.no_grad():
        weights = method.sample_weights(domains.source, domains.source_labels, domains.target)
    if weights is None:
        return
    expect_shape(weights, (len(domains.source),), "sample_weights")
    expect(weights.min() >= 0, "a weight is negative; clamp them at 0")
    mean = weights.double().mean().item()
    expect(abs(mean - 1) < 1e-3, f"their mean is {mean:.3g}; divide them by it")


def check_refined_head_gives_finite_logits(method: AlignmentMethod) -> None:
    features = toy_features().target
    first = nn.Linear(FEATURE_DIM, NUM_CLASSES).requires_grad_(False)
    with torch.no_grad():
        head = method.target_head(FEATURE_DIM, NUM_CLASSES, first)
        if head is None:
            return
        prior = torch.full((NUM_CLASSES,), 1 / NUM_CLASSES)
        before = state_of(head)
        for labelled in (0, NUM_CLASSES, len(features)):
            probabilities, places = first(features).softmax(1), torch.arange(len(features))
            labels = places[:labelled] % NUM_CLASSES
            probabilities[:labelled] = nn.functional.one_hot(labels, NUM_CLASSES).float()
            method.refine(head, features, probabilities, prior, places < labelled)
            expect_same_layout(before, head, "refine")  # a bundle loads it into a new target_head
            told = f"the output of the head refined with {labelled} known labels"
            expect_shape(head(features), (len(features), NUM_CLASSES), told)


def check_finished_backbone_keeps_its_shapes(method: AlignmentMethod) -> None:
    model, images = toy_model().eval(), toy_images()
    pixels = model.normalise(images.target)
    before = state_of(model)
    method.finish(model, iter(pixels.split(5)))
    expect_same_layout(before, model, "finish")
    with torch.no_grad():
        expect_shape(model.eval()(pixels), (len(pixels), FEATURE_DIM), "the features after finish")
    expect(isinstance(method.finish_key(), str), "finish_key must return text")


def check_adapted_model_keeps_its_shapes(method: AlignmentMethod) -> None:
    from automl_xfer.transfer.model import TransferModel

    model = TransferModel(toy_model(), nn.Linear(FEATURE_DIM, NUM_CLASSES))
    model.eval().requires_grad_(False)
    pixels = model.backbone.normalise(toy_images().target)
    before = state_of(model)
    method.adapt(model, lambda: iter(pixels.split(5)))
    expect_same_layout(before, model, "adapt")
    with torch.no_grad():
        logits = model.eval()(pixels)
    expect_shape(logits, (len(pixels), NUM_CLASSES), "the logits after adapt")


def _loss(method: AlignmentMethod, source: Batch, target: Batch, progress: float = 0.5) -> Tensor:
    """The loss of a fresh module; a constant 0 where the method has none for these batches."""
    with seeded():
        module = method.build(FEATURE_DIM, NUM_CLASSES)
    if module is None:
        return torch.zeros(())
    found: Tensor = module(source, target, progress)
    return found


CHECKS = (
    Check(check_it_trains_on_a_domain_that_exists),
    Check(check_loss_is_a_finite_scalar_for_unequal_batches, hook="build"),
    Check(check_loss_is_differentiable, hook="build"),
    Check(check_loss_does_not_change_its_inputs, hook="build"),
    Check(check_loss_is_the_same_for_the_same_seed, hook="build"),
    Check(check_task_weights_are_shares),
    Check(check_transformed_source_keeps_shape_and_type, hook="transform_source"),
    Check(check_maps_have_matching_widths, hook="align"),
    Check(check_sample_weights_have_mean_one, hook="sample_weights"),
    Check(check_refined_head_gives_finite_logits, hook="target_head"),
    Check(check_finished_backbone_keeps_its_shapes, hook="finish"),
    Check(check_adapted_model_keeps_its_shapes, hook="adapt"),
)
