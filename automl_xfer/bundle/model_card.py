"""The model card: what the model is, how good, what it was compared with, how to use it."""

from pathlib import Path

from automl_xfer.bundle.format import MODEL_CARD, BundleDescription
from automl_xfer.study.records import BaselineResult, StudyResult


def write_model_card(description: BundleDescription, result: StudyResult, directory: Path) -> None:
    """Write `MODEL_CARD.md`."""
    sections = [
        f"# {description.study}",
        f"An image classifier with {len(description.classes)} classes, found by automl-xfer.",
        _list("Strategy", [member_line(description, place) for place in range(_n(description))]),
        _list("Scores", _scores(result)),
        _list("Compared with", [_baseline(each) for each in result.get("baselines", [])]),
        _list("Notes", result.get("notes", [])),
        _list("Classes", list(description.classes)),
        _list("Input", [_input(description)]),
        "## Use\n\n```\nautoml-xfer predict BUNDLE_FOLDER images/ --out predictions.csv\n```",
        _list("Versions", [f"{name} {value}" for name, value in description.versions.items()]),
    ]
    text = "\n\n".join(section for section in sections if section)
    (directory / MODEL_CARD).write_text(text + "\n", encoding="utf-8")


def _n(description: BundleDescription) -> int:
    return len(description.members)


def member_line(description: BundleDescription, place: int) -> str:
    """One member: its weight and its components with their parameters."""
    member = description.members[place]
    parts = []
    for axis, data in member.strategy.items():
        values = ", ".join(f"{key} = {value}" for key, value in data.items() if key != "name")
        parts.append(f"{axis}: {data['name']}" + (f" ({values})" if values else ""))
    return f"weight {member.weight:.2f}: " + "; ".join(parts)


def _scores(result: StudyResult) -> list[str]:
    winner = result["winner"]
    low_high = (
        f" ({winner['interval'][0]:.3f} to {winner['interval'][1]:.3f})"
        if winner["interval"]
        else ""
    )
    lines = [f"{result['signal']}: {winner['score']:.3f}{low_high}"]
    test = result.get("test")
    if test:
        values = ", ".join(f"{name} {value:.3f}" for name, value in test["scores"].items())
        lines.append(f"test split, {test['n']} images: {values}")
    return lines


def _baseline(baseline: BaselineResult) -> str:
    if baseline["score"] is None:
        return f"{baseline['name']}: {baseline['failure'] or 'not run'}"
    line = f"{baseline['name']}: {baseline['score']:.3f}"
    if baseline["gain"] is not None and baseline["gain_interval"]:
        low, high = baseline["gain_interval"]
        line += f"; this model gains {baseline['gain']:+.3f} ({low:+.3f} to {high:+.3f})"
    return line


def _input(description: BundleDescription) -> str:
    size = description.image_size
    return f"RGB, shorter side {size} pixels (bicubic), centre crop; the model normalises"


def _list(title: str, lines: list[str]) -> str:
    return "" if not lines else f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines)
