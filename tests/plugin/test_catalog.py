"""The catalog: who owns what, which classes are refused, and what a study compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from torch import nn

from automl_xfer import hookimpl
from automl_xfer.components import Backbone, BackboneRequest, Float, Head
from automl_xfer.errors import CatalogChangedError, ComponentError, ConfigError, PluginError
from automl_xfer.plugin.catalog import Catalog, build_catalog, check_same
from automl_xfer.plugin.manager import LoadedPlugins, make_manager


@dataclass(frozen=True)
class ToyHead(Head):
    """A head for tests."""

    name = "toy"
    scale: float = Float(1.0, low=0.1, high=10.0)

    def build(self, feature_dim, num_classes):
        return nn.Linear(feature_dim, num_classes)


@dataclass(frozen=True)
class OtherHead(ToyHead):
    name = "other-toy"


@dataclass(frozen=True)
class NamedBackbone(Backbone):
    """Offers the names that match."""

    name = "named"
    model: str = ""

    @classmethod
    def candidates(cls, request: BackboneRequest) -> Sequence[Backbone]:
        names = ("small", "large")
        return [cls(name) for name in names if not request.patterns or name in request.patterns]

    def build(self):
        raise NotImplementedError

    def facts(self):
        return frozenset({"pretrained"})

    @property
    def label(self):
        return self.model


@dataclass(frozen=True)
class AnotherBackbone(NamedBackbone):
    name = "another"
    initialisation = "random"


def plugin(**hooks: object) -> object:
    """A plugin object whose hooks return the given values."""
    made = {hook: hookimpl(lambda value=value: value) for hook, value in hooks.items()}
    return SimpleNamespace(**made)


def loaded_with(**plugins: object) -> LoadedPlugins:
    loaded = make_manager(entry_points=False)
    for name, made in plugins.items():
        loaded.register(made, name, "1.0")
    return loaded


def test_a_class_is_kept_with_its_owner_and_version():
    catalog = build_catalog(loaded_with(mine=plugin(register_heads=[ToyHead, OtherHead])))
    assert catalog.classes["head"] == {"other-toy": OtherHead, "toy": ToyHead}
    assert catalog.get("head", "toy") is ToyHead
    assert catalog.to_dict()["head"] == {"other-toy": "mine 1.0", "toy": "mine 1.0"}


def test_names_that_do_not_exist_name_the_nearest():
    catalog = build_catalog(loaded_with(mine=plugin(register_heads=[ToyHead, OtherHead])))
    with pytest.raises(ComponentError, match=r"'othertoy'.*'other-toy'"):
        catalog.get("head", "othertoy")
    with pytest.raises(ComponentError, match=r"'heads'.*'head'"):
        catalog.get("heads", "toy")
    with pytest.raises(ComponentError, match="'tyo'"):
        catalog.find("tyo")


def test_find_takes_a_name_or_axis_and_name():
    catalog = build_catalog(loaded_with(mine=plugin(register_heads=[ToyHead])))
    assert list(catalog.find("toy")) == ["head"]
    assert catalog.find("head/toy") == catalog.find("toy")
    with pytest.raises(ComponentError, match="alignment"):
        catalog.find("alignment/toy")


def test_a_duplicate_name_names_both_owners():
    loaded = loaded_with(one=plugin(register_heads=[ToyHead]), two=plugin(register_heads=[ToyHead]))
    with pytest.raises(PluginError, match=r"'one'.*'two'.*'toy'"):
        build_catalog(loaded)


@dataclass(frozen=True)
class NoBuild(Head):
    name = "no-build"


class Undecorated(ToyHead):
    name = "undecorated"


@dataclass(frozen=True)
class BadName(ToyHead):
    name = "Bad Name"


@dataclass(frozen=True)
class NoName(Head):
    def build(self, feature_dim, num_classes):
        return nn.Identity()


@dataclass(frozen=True)
class RequiresText(ToyHead):
    name = "requires-text"
    requires = "source"


@dataclass(frozen=True)
class DefaultOutOfRange(ToyHead):
    name = "default-out-of-range"
    scale: float = Float(20.0, low=0.1, high=10.0)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([NoBuild], ["NoBuild", "lacks the method build"]),
        ([Undecorated], ["Undecorated", "@dataclass(frozen=True)"]),
        ([BadName], ["BadName", "'Bad Name'"]),
        ([NoName], ["NoName", "''"]),
        ([RequiresText], ["RequiresText", "requires"]),
        ([DefaultOutOfRange], ["DefaultOutOfRange", "between 0.1 and 10.0"]),
        ([NamedBackbone], ["NamedBackbone", "no subclass of Head"]),
        ([ToyHead()], ["no subclass of Head"]),
        (ToyHead, ["list of classes"]),
        (None, ["list of classes"]),
    ],
)
def test_a_plugin_with_a_faulty_class_is_left_out_whole(returned, words):
    faulty = plugin(register_heads=returned, register_backbones=[NamedBackbone])
    loaded = loaded_with(faulty=faulty, sound=plugin(register_heads=[ToyHead]))
    catalog = build_catalog(loaded)
    assert list(catalog.entries["head"]) == ["toy"]
    assert catalog.entries["backbone"] == {}
    [problem] = loaded.problems
    for word in ["'faulty'", "register_heads", *words]:
        assert word in problem.message


def test_an_unfrozen_dataclass_in_a_file_is_a_problem_of_that_file(tmp_path):
    (tmp_path / "soft.py").write_text(
        "from dataclasses import dataclass\nfrom automl_xfer import hookimpl\n"
        "from automl_xfer.components import Head\n@dataclass\nclass Soft(Head):\n"
        "    name = 'soft'\n@hookimpl\ndef register_heads():\n    return [Soft]\n"
    )
    [problem] = make_manager(plugins_dir=tmp_path, entry_points=False).problems
    assert problem.name == "local:soft"
    assert "frozen" in problem.message


class RaisingHook:
    @hookimpl
    def register_heads(self):
        raise RuntimeError("no licence")

    @hookimpl
    def register_backbones(self):
        return [NamedBackbone]


def test_a_hook_that_raises_takes_its_plugin_out_of_every_axis():
    loaded = loaded_with(raising=RaisingHook(), sound=plugin(register_heads=[ToyHead]))
    catalog = build_catalog(loaded)
    assert catalog.entries["backbone"] == {}
    assert list(catalog.entries["head"]) == ["toy"]
    assert "'raising'" in loaded.problems[0].message
    assert "register_heads: RuntimeError: no licence" in loaded.problems[0].message
    assert "no licence" in loaded.problems[0].traceback


def backbones() -> Catalog:
    classes = [AnotherBackbone, NamedBackbone]
    return build_catalog(loaded_with(mine=plugin(register_backbones=classes)))


def test_backbones_come_pretrained_first_and_once_per_label():
    found = backbones().backbones(BackboneRequest())
    assert found == (NamedBackbone("small"), NamedBackbone("large"))


def test_a_pattern_that_no_backbone_class_knows_is_an_error():
    assert backbones().backbones(BackboneRequest(patterns=("large",))) == (NamedBackbone("large"),)
    with pytest.raises(ConfigError, match="'huge'"):
        backbones().backbones(BackboneRequest(patterns=("large", "huge")))


def test_the_same_catalog_passes():
    catalog = build_catalog(loaded_with(mine=plugin(register_heads=[ToyHead])))
    check_same(catalog.to_dict(), catalog)


def test_another_catalog_stops_with_the_names_that_differ():
    catalog = build_catalog(loaded_with(mine=plugin(register_heads=[ToyHead, OtherHead])))
    stored = {"head": {"toy": "mine 0.9", "gone": "theirs 2.0"}}
    with pytest.raises(CatalogChangedError) as caught:
        check_same(stored, catalog)
    message = str(caught.value)
    assert "head/gone (theirs 2.0) is gone" in message
    assert "head/other-toy (mine 1.0) is new" in message
    assert "head/toy was mine 0.9 and is mine 1.0" in message
