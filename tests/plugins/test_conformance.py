"""Every first-party component passes the checks that `automl_xfer.testing` offers to all."""

import pytest
from automl_xfer_plugins.backbones.scratch import ScratchBackbone

from automl_xfer.components import Component
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.testing import parametrize_with_checks
from automl_xfer.testing.check import lacking_defaults

CATALOG = build_catalog(make_manager())
CLASSES = [entry.component for names in CATALOG.entries.values() for entry in names.values()]
NEED_AN_INSTANCE = [made for made in CLASSES if lacking_defaults(made)]
"""Classes whose fields have no defaults are checked as classes; of one, an instance as well."""


@parametrize_with_checks([*CLASSES, ScratchBackbone("small-convnet")])
def test_a_first_party_component_conforms(component, check):
    check(component)


@pytest.mark.parametrize("made", NEED_AN_INSTANCE, ids=lambda made: made.name)
def test_only_backbones_are_made_without_defaults(made: type[Component]):
    assert made.axis == "backbone"
    if made is not ScratchBackbone:
        missing = ", ".join(lacking_defaults(made))
        pytest.skip(f"{made.name} is checked as a class only: {missing} names weights to download")


def test_the_whole_catalog_is_there():
    assert {made.axis for made in CLASSES} == {
        axis for axis, names in CATALOG.entries.items() if names
    }
    assert len(CLASSES) > 30
