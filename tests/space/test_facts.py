"""Facts: what the data says, and the words of the first-party components."""

from pathlib import Path

import pytest

from automl_xfer.components import BackboneRequest
from automl_xfer.data.manifest import Manifest, Sample
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.space.facts import FACTS, FEW_CLASSES, data_facts, provided_by


def sample(split, domain="target", label="a"):
    return Sample(Path("x.png"), "x.png", split, domain, label)


@pytest.mark.parametrize(
    ("samples", "facts"),
    [
        ([sample("train")], {"target_labels"}),
        ([sample("train"), sample("source", "web")], {"target_labels", "source"}),
        (
            [sample("unlabelled", label=None), sample("source", "web"), sample("source", "web")],
            {"no_target_labels", "unlabelled", "source"},
        ),
        (
            [sample("train"), sample("source", "web"), sample("source", "paint")],
            {"target_labels", "source", "two_sources"},
        ),
    ],
)
def test_the_data_says_what_holds(samples, facts):
    assert data_facts(Manifest(tuple(samples))) == facts | {"few_classes"}
    assert facts <= FACTS.keys()


def test_classes_are_few_up_to_the_smallest_batch():
    most = [sample("train", label=str(number)) for number in range(FEW_CLASSES)]
    assert "few_classes" in data_facts(Manifest(tuple(most)))
    assert "few_classes" not in data_facts(Manifest((*most, sample("train", label="one more"))))


def test_what_leaves_the_source_unread_is_known():
    catalog = build_catalog(make_manager())
    for name, unread in (("none", True), ("adabn", True), ("joint", False), ("dann", False)):
        provided = provided_by(catalog.get("alignment", name), frozenset({"target_labels"}))
        assert ("source_unread" in provided) == unread
    assert "source_unread" not in provided_by(catalog.get("alignment", "none"), frozenset())


def test_first_party_components_use_documented_facts_only():
    loaded = make_manager()
    catalog = build_catalog(loaded)
    assert loaded.problems == []
    words = {
        word
        for names in catalog.classes.values()
        for made in names.values()
        for word in made.requires | made.excludes | made.provides
    }
    words |= {
        word
        for backbone in catalog.backbones(BackboneRequest(has_source=True))
        for word in backbone.facts()
    }
    assert words <= FACTS.keys()
