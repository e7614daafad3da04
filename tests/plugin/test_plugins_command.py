"""`automl-xfer plugins`: what is listed, what is shown, what is said about broken files."""

import json

import pytest
from click.testing import CliRunner

from automl_xfer.cli.plugins import plugins_group
from automl_xfer.errors import ComponentError

PLUGIN = '''
from dataclasses import dataclass
from automl_xfer import hookimpl
from automl_xfer.components import AlignmentMethod, Choice, Float, Head

__version__ = "3.4"


@dataclass(frozen=True)
class Centred(AlignmentMethod):
    """Subtract each domain's mean.

    Nobody 2020.
    """

    name = "centred"
    requires = frozenset({"source", "frozen"})
    weight: float = Float(0.5, low=0.01, high=2.0, log=True)
    mode: str = Choice("mean", ("mean", "median"))
    trace: bool = False


@dataclass(frozen=True)
class CentredHead(Head):
    """A head of the same name."""

    name = "centred"

    def build(self, feature_dim, num_classes):
        raise NotImplementedError


@hookimpl
def register_alignment_methods():
    return [Centred]


@hookimpl
def register_heads():
    return [CentredHead]
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    return tmp_path


def run(*arguments, folder):
    return CliRunner().invoke(plugins_group, [*arguments, "--plugins-dir", str(folder)])


def test_list_has_a_row_for_each_component_and_warns_of_what_was_left_out(folder):
    result = run("list", folder=folder)
    assert result.exit_code == 0
    rows = {tuple(line.split()[:2]): line for line in result.stdout.splitlines()}
    assert "local:mine 3.4" in rows["head", "centred"]
    row = rows["alignment", "centred"]
    assert "weight, mode" in row
    assert "trace" not in row
    assert "frozen, source" in row
    assert "local:broken" in result.stderr
    assert "no_such_module_anywhere" in result.stderr


def test_list_as_json_is_complete(folder):
    result = run("list", "--json", folder=folder)
    data = json.loads(result.stdout)
    [made] = [
        row for row in data["components"] if (row["axis"], row["name"]) == ("alignment", "centred")
    ]
    assert (made["plugin"], made["version"]) == ("local:mine", "3.4")
    assert made["requires"] == ["frozen", "source"]
    assert made["parameters"]["weight"] == {
        "default": 0.5,
        "range": {"low": 0.01, "high": 2.0, "log": True},
    }
    assert made["parameters"]["trace"] == {"default": False, "range": None}
    assert [problem["name"] for problem in data["problems"]] == ["local:broken"]
    assert "ModuleNotFoundError" in data["problems"][0]["traceback"]


def test_show_says_what_it_does_and_what_it_takes(folder):
    output = run("show", "alignment/centred", folder=folder).stdout
    for words in (
        "alignment/centred  (local:mine 3.4)",
        "Subtract each domain's mean.\n\nNobody 2020.",
        "weight = 0.5  0.01 to 2.0, logarithmic",
        "mode = mean  one of mean, median",
        "trace = False  (not searched)",
        "requires: frozen, source",
    ):
        assert words in output
    assert "head/" not in output


def test_show_without_an_axis_shows_every_component_of_that_name(folder):
    found = json.loads(run("show", "centred", "--json", folder=folder).stdout)
    assert {made["axis"] for made in found} == {"alignment", "head"}


def test_show_of_an_unknown_name_names_the_nearest(folder):
    result = run("show", "centered", folder=folder)
    assert isinstance(result.exception, ComponentError)
    assert "'centred'" in str(result.exception)
