"""docs/components: what `generate.py` would write now is what is there."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from automl_xfer.components import Choice, Float, Int, Validator

FOLDER = Path(__file__).parents[2] / "docs" / "components"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_that_the_classes_give(generator: ModuleType) -> None:
    pages = generator.pages()
    assert {path.name for path in FOLDER.glob("*.md")} == set(pages)
    for name, text in pages.items():
        written = (FOLDER / name).read_text(encoding="utf-8")
        assert written == text, f"{name} is stale: run python docs/components/generate.py"


def test_every_component_has_a_section_with_a_sentence(generator: ModuleType) -> None:
    pages = generator.pages()
    assert "## `dann`\n\nLearn features from which" in pages["alignment.md"]
    for text in pages.values():
        for section in text.split("\n## `")[1:]:
            sentence = section.split("\n\n")[1].strip()
            assert sentence and not sentence.startswith(("|", "-"))


@dataclass(frozen=True)
class Toy(Validator):
    """Toys with the target.

    Nobody 2020, arXiv 2001.01234; somebody 2021, arXiv 2101.01234, arXiv 2001.01234.
    """

    name = "toy"
    requires = frozenset({"two_sources", "source"})

    scale: float = Float(0.5, low=0.01, high=2.0, log=True)
    rounds: int = Int(3, low=1, high=9)
    mode: str = Choice("mean", ("mean", "median"))
    plain: int = 7


def test_a_section_says_all_that_the_class_declares(generator: ModuleType) -> None:
    assert generator.section(Toy) == (
        "## `toy`\n\nToys with the target.\n\n"
        "| parameter | default | range |\n| --- | --- | --- |\n"
        "| `scale` | 0.5 | 0.01 to 2.0, logarithmic |\n"
        "| `rounds` | 3 | 1 to 9 |\n"
        "| `mode` | mean | mean, median |\n\n"
        "- requires `source`, `two_sources`\n"
        "- paper: [arXiv 2001.01234](https://arxiv.org/abs/2001.01234), "
        "[arXiv 2101.01234](https://arxiv.org/abs/2101.01234)"
    )
