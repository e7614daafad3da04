"""What the report shows of the data: facts, counts, findings and a few pictures per class."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automl_xfer.report.thumbnails import thumbnail
from automl_xfer.report.wording import plural
from automl_xfer.study.records import StudyRecord

_IMAGES_PER_CLASS = 4
_CLASSES_SHOWN = 24
_UNKNOWN = "without a label"


@dataclass(frozen=True)
class CountTable:
    """Images per class (rows) and split (columns); each source domain is a column of its own."""

    splits: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class DataHealth:
    """The data section. Every part may be empty: a study can be shown before its data is known."""

    facts: tuple[str, ...]
    counts: CountTable | None
    findings: tuple[Mapping[str, Any], ...]
    quarantined: tuple[tuple[str, str], ...]
    pictures: tuple[tuple[str, tuple[str | None, ...]], ...]


def data_health(study: StudyRecord) -> DataHealth:
    """Prepare `study.health` and `study.facts`; whatever is missing there is left out."""
    health = study.health or {}
    return DataHealth(
        (*_facts(study.facts), *_sizes(health.get("statistics") or {})),
        _count_table(health.get("counts") or ()),
        tuple(health.get("findings") or ()),
        tuple(_quarantined(health.get("quarantined") or ())),
        tuple(_pictures(study.facts.get("thumbnails") or {})),
    )


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    roles = {
        "n_train": "labelled target image",
        "n_val": "validation image",
        "n_unlabelled": "unlabelled target image",
        "n_test": "test image",
    }
    for key, noun in roles.items():
        if facts.get(key):
            yield plural(int(facts[key]), noun)
    for name, count in (facts.get("sources") or {}).items():
        yield f"{plural(int(count), 'source image')} from {name}"
    if classes := facts.get("classes"):
        yield plural(len(classes) if isinstance(classes, Sequence) else int(classes), "class")


def _sizes(statistics: Mapping[str, Any]) -> Iterator[str]:
    if statistics.get("width") and statistics.get("height"):
        low, median, high = zip(statistics["width"], statistics["height"], strict=True)
        pixels = [f"{width} × {height}" for width, height in (median, low, high)]
        yield "median size {} px (from {} to {})".format(*pixels)


def _count_table(counts: Sequence[Mapping[str, Any]]) -> CountTable | None:
    if not counts:
        return None
    images: Counter[tuple[str, str]] = Counter()
    for count in counts:
        images[_label(count), _column(count)] += int(count["images"])
    columns = tuple(dict.fromkeys(_column(count) for count in counts))
    labels = sorted({label for label, _ in images}, key=lambda label: (label == _UNKNOWN, label))
    rows = ((label, tuple(images[label, column] for column in columns)) for label in labels)
    return CountTable(columns, tuple(rows))


def _label(count: Mapping[str, Any]) -> str:
    return _UNKNOWN if count.get("label") is None else str(count["label"])


def _column(count: Mapping[str, Any]) -> str:
    return f"source {count['domain']}" if count["split"] == "source" else str(count["split"])


def _quarantined(files: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for file in files:
        given, reason = (file["image"], file["reason"]) if isinstance(file, Mapping) else file
        yield str(given), str(reason)


def _pictures(
    paths: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    for name in sorted(paths)[:_CLASSES_SHOWN]:
        yield name, tuple(thumbnail(path) for path in paths[name][:_IMAGES_PER_CLASS])
