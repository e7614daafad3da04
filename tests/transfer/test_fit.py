"""fit: what must train trains, what must not stays bit-identical, and scores are right."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from automl_xfer.components import BackboneRequest, FusedModel, StageFeatures
from automl_xfer.search.plan import training_parts
from automl_xfer.space.compose import Space
from automl_xfer.transfer import finishing
from automl_xfer.transfer.closed_form import fit_closed_form, known_labels
from automl_xfer.transfer.fit import fit
from automl_xfer.transfer.gradient import NonFiniteLossError
from automl_xfer.transfer.model import KeptModels
from automl_xfer.transfer.parts import StudyData, TrainingParts
from automl_xfer.transfer.predicting import predict_probabilities
from automl_xfer.transfer.pretrain import starting_backbone

FAST = {"optimization.adamw.epochs": 15, "optimization.adamw.learning_rate": 3e-4}


def trainable(space, freezing, alignment="none", head="linear", **parameters):
    names = {
        "freezing": freezing,
        "alignment": alignment,
        "head": head,
        "optimization": "adamw",
    }
    return space.strategy("toy", names, {**FAST, **parameters})


def frozen(space, alignment="none", head="logistic-regression", **parameters):
    names = {"freezing": "linear-probe", "alignment": alignment, "head": head}
    return space.strategy("toy", names, parameters)


def accuracy(fitted, part):
    return float(np.mean(fitted.predict(part).argmax(1) == part.labels))


@pytest.mark.parametrize("depth", [0.3, 0.7])
def test_frozen_stages_stay_bit_identical_and_the_others_change(space, parts, context, depth):
    strategy = trainable(space, "frozen-depth", **{"freezing.frozen-depth.depth": depth})
    before = starting_backbone(strategy.backbone, parts, context).state_dict()
    after = fit(strategy, parts, context).model.backbone
    n = len(after.stages)
    first = next(stage for stage in range(n) if stage >= depth * n)
    changed = {
        int(name.split(".")[1])
        for name, value in after.state_dict().items()
        if name.startswith("stages") and not torch.equal(value, before[name])
    }
    assert changed == set(range(first, n))


def test_a_linear_probe_leaves_the_backbone_alone(space, parts, context):
    strategy = frozen(space)
    before = starting_backbone(strategy.backbone, parts, context).state_dict()
    after = fit(strategy, parts, context).model.backbone.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_pretrained_batch_norm_statistics_stay_in_full_fine_tuning(space, parts, context):
    strategy = trainable(space, "full")
    before = starting_backbone(strategy.backbone, parts, context).state_dict()
    after = fit(strategy, parts, context).model.backbone.state_dict()
    statistics = [name for name in before if "running_" in name]
    assert statistics and all(torch.equal(after[name], before[name]) for name in statistics)
    assert not torch.equal(after["stages.0.0.0.weight"], before["stages.0.0.0.weight"])


@pytest.mark.parametrize(
    ("freezing", "head"), [("full", "linear"), ("lp-ft", "logistic-regression")]
)
def test_gradient_training_learns_the_toy(space, parts, context, make_part, freezing, head):
    fitted = fit(trainable(space, freezing, head=head), parts, context)
    assert accuracy(fitted, make_part(20, 9)) > 0.9


def test_lp_ft_starts_from_the_fitted_head(space, parts, context):
    strategy = trainable(
        space,
        "lp-ft",
        head="logistic-regression",
        **{"optimization.adamw.learning_rate": 1e-5},
    )
    probe = frozen(space)
    tuned = fit(strategy, parts, context).model.head
    fitted = fit(probe, parts, context).model.head
    torch.testing.assert_close(tuned.weight, fitted.weight, atol=2e-3, rtol=0)


def test_the_same_seed_gives_the_same_weights(space, parts, context):
    strategy = trainable(space, "full")
    first, second = (fit(strategy, parts, context).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "alignment",
    [
        "coral",
        "linear-ot",
        "subspace-alignment",
        "adabn",
        "target-mixture",
        "adabn-target-mixture",
        "joint",
        "source-only",
    ],
)
def test_cached_predictions_are_those_of_the_assembled_model(
    space, parts, context, make_part, alignment
):
    fitted = fit(frozen(space, alignment), parts, context)
    part = make_part(12, 7)
    assembled = predict_probabilities(fitted.model, part, "cpu")
    np.testing.assert_allclose(fitted.predict(part), assembled, atol=0.02)  # features in 16 bit
    if alignment != "source-only":  # whose colours are not the target's
        assert accuracy(fitted, part) > 0.9


def test_refinement_knows_the_labels_of_the_images_that_train_and_no_others(catalog, parts):
    alignments, rows = catalog.classes["alignment"], np.array([11, 2, 5])
    whole, others = parts.unlabelled
    fold = replace(parts, target=parts.target.take(rows), unlabelled=(whole, others))
    known = known_labels(alignments["target-mixture"](), fold)
    assert len(known) == len(whole) + len(others)
    assert sorted(torch.nonzero(known >= 0).flatten().tolist()) == [2, 5, 11]
    assert known[rows].tolist() == parts.target.labels[rows].tolist()
    assert (known_labels(alignments["source-only"](), fold) == -1).all()
    without = replace(fold, target=None)
    assert (known_labels(alignments["target-mixture"](), without) == -1).all()


@pytest.mark.parametrize("alignment", ["deep-coral", "mk-mmd", "dann"])
def test_alignment_losses_train_from_source_labels_alone(
    space, catalog, parts, context, make_part, alignment
):
    from dataclasses import replace

    unlabelled_space = replace(space, facts=frozenset({"no_target_labels", "source", "unlabelled"}))
    strategy = trainable(unlabelled_space, "full", alignment)
    without = TrainingParts(2, None, parts.source, parts.unlabelled[1:])
    assert accuracy(fit(strategy, without, context), make_part(20, 9)) > 0.8


def test_a_loss_that_is_not_finite_is_an_error(space, parts, context, monkeypatch):
    strategy = trainable(space, "full")
    monkeypatch.setattr(
        type(strategy.regularizer),
        "build",
        lambda self, backbone, head, labelled: lambda batch: batch.logits.sum() * float("nan"),
    )
    with pytest.raises(NonFiniteLossError, match="epoch 1"):
        fit(strategy, parts, context)


def test_adabn_sets_the_statistics_of_the_domain(space, parts, context):
    strategy = frozen(space, "adabn", **{"alignment.adabn.mix": 1.0})
    backbone = starting_backbone(strategy.backbone, parts, context)
    closed = fit_closed_form(strategy, parts, backbone, context)
    images = np.concatenate([part.image_set.images[part.indices] for part in parts.unlabelled])
    pixels = backbone.normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
    with torch.no_grad():
        first = backbone.stages[0][0][0](pixels)
    norm = closed.target.backbone.stages[0][0][1]
    torch.testing.assert_close(norm.running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_a_change_of_the_backbone_is_cached_for_every_later_fold(
    space, parts, context, monkeypatch
):
    strategy = frozen(space, "adabn", **{"alignment.adabn.mix": 1.0})
    first = fit(strategy, parts, context).model.state_dict()
    calls = []
    monkeypatch.setattr(type(strategy.alignment), "finish", lambda *_: calls.append(1))
    kept = [fit(strategy, parts, context).model.backbone for _ in range(2)]
    assert kept[0] is kept[1]
    monkeypatch.setattr(finishing, "_finished", KeptModels())  # another process
    again = fit(strategy, parts, context).model.state_dict()
    assert not calls
    assert all(torch.equal(again[name], value) for name, value in first.items())
    (file, *_) = context.cache.directory.glob("features-finished-*")
    for path in context.cache.directory.glob("features-finished-*"):
        path.write_bytes(file.read_bytes()[:40])
    monkeypatch.setattr(finishing, "_finished", KeptModels())
    fit(strategy, parts, context)
    assert calls  # a damaged entry is made anew


def test_members_of_a_fused_backbone_are_changed_as_if_alone(space, parts, context):
    method = frozen(space, "adabn", **{"alignment.adabn.mix": 1.0}).alignment
    member = starting_backbone(frozen(space).backbone, parts, context)
    other = starting_backbone(frozen(space).backbone, parts, context)
    for tensor in other.parameters():
        tensor.data *= 1.1
    before = deepcopy(member.state_dict())
    changed = [
        finishing.finished_backbone(method, each, parts.unlabelled, context)
        for each in (member, FusedModel([member, other]), StageFeatures(member, 2))
    ]
    alone, fused, staged = changed
    assert fused.members[0] is alone is staged.plain
    mean = "stages.0.0.1.running_mean"
    assert not torch.equal(alone.state_dict()[mean], before[mean])
    assert not torch.equal(fused.members[1].state_dict()[mean], alone.state_dict()[mean])
    assert all(torch.equal(value, before[name]) for name, value in member.state_dict().items())
    pixels = np.array(parts.target.image_set.images[:4])
    images = member.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    with torch.no_grad():
        expected = fused.join([alone(images), fused.members[1](images)])
        assert torch.allclose(fused(images), expected, atol=1e-5)


def test_all_folds_share_the_backbone_that_the_target_images_changed(space, parts, context):
    strategy = frozen(space, "adabn")
    data = StudyData(("a", "b"), 24, target=parts.target.image_set)
    backbone = starting_backbone(strategy.backbone, parts, context)
    halves = np.arange(0, len(parts.target), 2), np.arange(1, len(parts.target), 2)
    first, second = (training_parts(data, target_rows=rows) for rows in halves)
    before = deepcopy(backbone.state_dict())
    keys = [
        fit_closed_form(strategy, of_fold, backbone, context).target.keys
        for of_fold in (first, second, training_parts(data))
    ]
    assert keys[0] == keys[1] == keys[2]
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert all(part.labels is None for part in first.adapting)
    alone = replace(first, every_target=None)
    assert fit_closed_form(strategy, alone, backbone, context).target.keys != keys[0]


@pytest.mark.parametrize("name", ["fix-match", "pseudo-label", "mcc", "bnm"])
def test_losses_on_the_target_alone_need_no_source(name, catalog, weights_dir, parts, context):
    """The labelled target stands in for the source; without the loss the weights are others."""
    backbones = catalog.backbones(BackboneRequest(weights_dir=weights_dir))
    facts = frozenset({"target_labels", "unlabelled", "few_classes"})
    space = Space(catalog.classes, backbones, facts)
    short = {"optimization.adamw.epochs": 5, "optimization.adamw.batch_size": 16}
    names = {"freezing": "full", "head": "linear", "optimization": "adamw"}
    if name == "fix-match":
        names["augmentation"] = "weak-strong"
    alone = replace(parts, source=None)
    made = space.strategy(names={**names, "alignment": name}, parameters=short)
    with_loss = fit(made, alone, context)
    plain = replace(made, alignment=space.strategy(names={"alignment": "none"}).alignment)
    without = fit(plain, alone, context)
    first, second = (each.model.head.weight for each in (with_loss, without))
    assert torch.isfinite(first).all()
    assert name in ("fix-match", "pseudo-label") or not torch.equal(first, second)
