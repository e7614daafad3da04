"""Checks of what takes part in gradient training: freezing, augmentation, losses, steps."""

import torch
from torch import Tensor, nn

from automl_xfer.components import (
    AugmentationPolicy,
    Batch,
    FreezingPolicy,
    Optimization,
    ParameterGroup,
    Regularizer,
)
from automl_xfer.testing.check import Check, expect, overrides
from automl_xfer.testing.expectations import (
    expect_gradient,
    expect_same_layout,
    expect_scalar,
    expect_shape,
    state_of,
)
from automl_xfer.testing.toy_domains import (
    FEATURE_DIM,
    IMAGE_SIZE,
    NUM_CLASSES,
    toy_features,
    toy_images,
    toy_model,
)
from automl_xfer.transfer.model import parameter_infos

_EPOCHS = 30


def check_every_parameter_is_trainable_or_not_in_every_epoch(policy: FreezingPolicy) -> None:
    for _, info in parameter_infos(toy_model()).values():
        for epoch in range(_EPOCHS):
            answer = policy.is_trainable(info, epoch)
            words = f"is_trainable gave {answer!r} for {info.name} in epoch {epoch}"
            expect(isinstance(answer, bool), f"{words}; return True or False")


def check_policy_trains_what_it_provides(policy: FreezingPolicy) -> None:
    infos = [info for _, info in parameter_infos(toy_model()).values()]
    trains = any(policy.is_trainable(info, epoch) for info in infos for epoch in range(_EPOCHS))
    facts = sorted(policy.provides & {"frozen", "trainable"})
    expect(len(facts) == 1, f"it provides {facts}; provide either 'frozen' or 'trainable'")
    expect(not (trains and facts == ["frozen"]), "it provides 'frozen' and trains parameters")
    silent = facts == ["trainable"] and not overrides(policy, "wrap")
    expect(trains or not silent, "it provides 'trainable', and nothing trains in 30 epochs")


def check_unwrap_undoes_wrap(policy: FreezingPolicy) -> None:
    model = toy_model().eval()
    pixels = model.normalise(toy_images().target)
    before = state_of(model)
    policy.wrap(model)
    expect_shape(model(pixels), (len(pixels), FEATURE_DIM), "the wrapped backbone's output")
    policy.unwrap(model)
    expect_same_layout(before, model, "wrap and unwrap")
    expect_shape(model(pixels), (len(pixels), FEATURE_DIM), "the unwrapped backbone's output")


def check_the_share_of_the_start_is_one_of_useful_weights(policy: FreezingPolicy) -> None:
    share = policy.share_of_start()
    expect(0 <= share <= 1, f"share_of_start gave {share!r}; return a number from 0 to 1")
    useful = policy.head_first and "random" in policy.excludes and not overrides(policy, "wrap")
    words = f"share_of_start gave {share!r}; return 0, or fit the head first (head_first), "
    expect(useful or share == 0, f"{words}exclude 'random' backbones and do not wrap the model")


def check_transformed_images_keep_shape_and_type(policy: AugmentationPolicy) -> None:
    for view in (policy.transform, policy.strong):
        for images in toy_images(7, 5).source.split((4, 3)):
            varied = view(IMAGE_SIZE)(images.clone())
            expect_shape(varied, tuple(images.shape), f"what {view.__name__} returned")
            words = f"{view.__name__} returned {varied.dtype}; return torch.uint8"
            expect(varied.dtype == torch.uint8, words)


def check_training_sizes_are_no_larger_than_the_images(policy: AugmentationPolicy) -> None:
    images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    for image_size in (IMAGE_SIZE, 224):
        for progress in (0.0, 0.3, 0.6, 0.99):
            size = policy.training_size(image_size, progress)
            words = f"training_size({image_size}, {progress}) gave {size!r}; "
            sound = isinstance(size, int) and 0 < size <= image_size
            expect(sound, f"{words}return whole pixels, at most image_size")
            for view in (policy.transform, policy.strong):
                varied = view(size)(images[..., :image_size, :image_size])
                expect_shape(varied, (2, 3, size, size), f"what {view.__name__}({size}) returned")


def check_mixed_labels_sum_to_one(policy: AugmentationPolicy) -> None:
    domains = toy_images(7, 5)
    images = toy_model().normalise(domains.source)
    labels = nn.functional.one_hot(domains.source_labels, NUM_CLASSES).float()
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):  # many policies mix only some batches
        mixed, soft = policy.mix(images.clone(), labels.clone(), generator)
        expect_shape(mixed, tuple(images.shape), "the mixed images")
        expect_shape(soft, tuple(labels.shape), "the mixed labels")
        expect(torch.allclose(soft.sum(1), torch.ones(len(soft)), atol=1e-4), "they do not")
        expect(soft.min() >= 0, "a label is negative")


def check_activations_keep_their_shape(policy: AugmentationPolicy) -> None:
    model = toy_model()
    activations = model.normalise(toy_images().source)
    for stage, module in enumerate(model.stages):
        activations = module(activations)
        varied = policy.between_stages(activations, stage, len(model.stages))
        expect_shape(varied, tuple(activations.shape), f"what between_stages({stage}) returned")


def check_perturbed_images_keep_their_shape(policy: AugmentationPolicy) -> None:
    domains, model, head = toy_images(), toy_model(), nn.Linear(FEATURE_DIM, NUM_CLASSES)
    images = model.normalise(domains.source)

    def loss(pixels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(head(model(pixels)), domains.source_labels)

    changed = policy.perturb(images.clone(), loss)
    expect_shape(changed, tuple(images.shape), "what perturb returned")


def check_term_is_a_finite_scalar(regularizer: Regularizer) -> None:
    for term, _ in _terms(regularizer):
        expect_scalar(term, "the term")


def check_gradient_flows_from_the_term(regularizer: Regularizer) -> None:
    for term, trained in _terms(regularizer):
        expect_gradient(term, trained, "the term")


def check_optimizer_steps_with_the_rates_of_its_groups(optimization: Optimization) -> None:
    if "frozen" in optimization.requires:  # there is nothing to step
        return
    layers = [nn.Linear(4, 4), nn.Linear(4, 2)]
    groups = [ParameterGroup(list(layers[0].parameters()), 0.1)]
    groups.append(ParameterGroup(list(layers[1].parameters()), 1.0))
    optimizer = optimization.build(groups)
    rates = [group["lr"] for group in optimizer.param_groups]
    rate = optimization.learning_rate
    for wanted in (0.1 * rate, rate):
        close = any(abs(found - wanted) <= 1e-6 * wanted for found in rates)
        expect(close, f"no group learns at {wanted:.3g}; a group's rate is learning_rate * scale")
    before = [state_of(layer) for layer in layers]
    layers[1](layers[0](torch.randn(6, 4))).square().mean().backward()
    optimizer.step()
    for layer, state in zip(layers, before, strict=True):
        expect_same_layout(state, layer, "a step")


def check_length_of_training_is_positive(optimization: Optimization) -> None:
    if "frozen" not in optimization.requires:
        expect(optimization.epochs > 0, f"epochs is {optimization.epochs}; declare the field")
        expect(optimization.batch_size > 0, f"batch_size is {optimization.batch_size}")
        expect(optimization.learning_rate > 0, "learning_rate is 0; declare the field")


def check_schedule_stays_between_0_and_1(optimization: Optimization) -> None:
    for step in range(101):
        factor = optimization.schedule(step / 100)
        expect(-1e-9 <= factor <= 1 + 1e-9, f"it is {factor} at {step} % of the training")


def _terms(regularizer: Regularizer) -> list[tuple[Tensor, list[Tensor]]]:
    """The terms of two steps, with what trains in them; none where the toy model cannot serve."""
    if "classifier" in regularizer.requires:  # the toy backbone was never pretrained
        return []
    model, head, domains = toy_model(), nn.Linear(FEATURE_DIM, NUM_CLASSES), toy_images()
    starting = toy_features()
    term = regularizer.build(model, head, lambda: (starting.source, starting.source_labels))
    if term is None:
        return []
    trained: list[Tensor] = [*model.parameters(), *head.parameters()]
    if isinstance(term, nn.Module):
        trained += [each for each in term.parameters() if each.requires_grad]
    rows = torch.arange(len(domains.source)).split(9)
    batches = (_batch(model, head, domains.source[r], domains.source_labels[r]) for r in rows)
    return [(term(batch), trained) for batch in batches]


def _batch(model: nn.Module, head: nn.Module, images: Tensor, labels: Tensor) -> Batch:
    """A labelled batch after the forward pass; the teacher is unsure."""
    features = model(model.normalise(images))  # type: ignore[operator]
    soft = nn.functional.one_hot(labels, NUM_CLASSES).float()
    return Batch(features, head(features), soft, teacher=0.7 * soft + 0.1)


FREEZING = (
    Check(check_every_parameter_is_trainable_or_not_in_every_epoch),
    Check(check_policy_trains_what_it_provides),
    Check(check_unwrap_undoes_wrap, hook="wrap"),
    Check(check_the_share_of_the_start_is_one_of_useful_weights, hook="share_of_start"),
)
AUGMENTATION = (
    Check(check_transformed_images_keep_shape_and_type),
    Check(check_training_sizes_are_no_larger_than_the_images, hook="training_size"),
    Check(check_mixed_labels_sum_to_one, hook="mix"),
    Check(check_activations_keep_their_shape, hook="between_stages"),
    Check(check_perturbed_images_keep_their_shape, hook="perturb"),
)
REGULARIZER = (
    Check(check_term_is_a_finite_scalar, hook="build"),
    Check(check_gradient_flows_from_the_term, hook="build"),
)
OPTIMIZATION = (
    Check(check_optimizer_steps_with_the_rates_of_its_groups),
    Check(check_length_of_training_is_positive),
    Check(check_schedule_stays_between_0_and_1),
)
