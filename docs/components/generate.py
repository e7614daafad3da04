"""Write a page per axis from the first-party classes: `python docs/components/generate.py`."""

import re
from inspect import getdoc
from pathlib import Path

from automl_xfer.components import Component
from automl_xfer.components.base import FloatRange, IntRange, Options, ParameterRange
from automl_xfer.plugin.catalog import build_catalog
from automl_xfer.plugin.manager import make_manager
from automl_xfer.testing.check import axis_class

HERE = Path(__file__).parent
FIRST_PARTY = "builtin"
_ARXIV = re.compile(r"arXiv[ :](\d{4}\.\d{4,5})")
_NOTE = "Written by `python docs/components/generate.py` from the classes; edit those."


def pages() -> dict[str, str]:
    """File name -> text, a page per axis that has a component."""
    entries = build_catalog(make_manager()).entries
    own = {
        axis: [entry.component for entry in names.values() if entry.plugin == FIRST_PARTY]
        for axis, names in entries.items()
    }
    return {f"{axis}.md": page(axis, classes) for axis, classes in own.items() if classes}


def page(axis: str, classes: list[type[Component]]) -> str:
    """One axis: what it is, then its components in order of name."""
    base = axis_class(classes[0])
    about = f"{summary(base)} The class to derive from is `{base.__name__}`."
    parts = [f"# {axis}", about, _NOTE, *map(section, classes)]
    return "\n\n".join(parts) + "\n"


def section(made: type[Component]) -> str:
    """One component: name, summary, parameters, facts and papers."""
    parts = [f"## `{made.name}`", summary(made), parameters(made), facts(made)]
    return "\n\n".join(part for part in parts if part)


def summary(made: type[Component]) -> str:
    """The docstring's first line."""
    return (getdoc(made) or "").split("\n")[0]


def parameters(made: type[Component]) -> str:
    """A table of the parameters that are searched; nothing where there are none."""
    ranges = made.parameter_ranges()
    if not ranges:
        return ""
    fields = made.__dataclass_fields__
    rows = [f"| `{name}` | {fields[name].default} | {words(ranges[name])} |" for name in ranges]
    return "\n".join(["| parameter | default | range |", "| --- | --- | --- |", *rows])


def words(allowed: ParameterRange) -> str:
    """A range for people."""
    match allowed:
        case Options(values):
            return ", ".join(map(str, values))
        case FloatRange(low, high, log) | IntRange(low, high, log):
            return f"{low} to {high}{', logarithmic' if log else ''}"


def facts(made: type[Component]) -> str:
    """A list of the facts required, excluded and provided, and of the papers."""
    named = {"requires": made.requires, "excludes": made.excludes, "provides": made.provides}
    lines = [
        f"- {verb} {', '.join(f'`{fact}`' for fact in sorted(facts))}"
        for verb, facts in named.items()
        if facts
    ]
    papers = dict.fromkeys(_ARXIV.findall(getdoc(made) or ""))
    if papers:
        links = (f"[arXiv {paper}](https://arxiv.org/abs/{paper})" for paper in papers)
        lines.append(f"- paper: {', '.join(links)}")
    return "\n".join(lines)


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
