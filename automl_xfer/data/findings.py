"""Turn what the health check measured into sentences: what, where, what to do."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from automl_xfer.data.health_report import Finding, ImageStatistics, Severity
from automl_xfer.data.wording import counted, listed

_IMBALANCE_WARNING = 10.0
_IMBALANCE_INFO = 3.0
_SMALL_SIDE = 32
_ENOUGH_FOR_SHARE = 5
_COLOUR_GAP = 0.5
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Entry:
    """One readable image in its role. Test images bear no label here: pixels only."""

    given: str
    split: str
    domain: str
    label: str | None
    grey: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that findings are made from. Groups list entries that show the same picture."""

    entries: Sequence[Entry]
    quarantined: Sequence[tuple[str, str]]
    exact: Sequence[Sequence[Entry]]
    near: Sequence[Sequence[Entry]]
    left_out: Sequence[Entry]  # exact copies of test images, taken from training
    source_copies: Sequence[Entry]  # source images that are labelled target images
    imbalance: float | None
    statistics: ImageStatistics
    warnings: Sequence[str]  # of the scan


def make_findings(evidence: Evidence) -> tuple[Finding, ...]:
    """All findings, gravest first."""
    found = [Finding("warning", "scan", warning) for warning in evidence.warnings]
    for rule in (
        _unreadable,
        _leaks,
        _duplicates,
        _few_images,
        _mismatches,
        _imbalance,
        _colour,
        _size,
    ):
        found.extend(rule(evidence))
    return tuple(sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity)))


def _unreadable(evidence: Evidence) -> Iterator[Finding]:
    if evidence.quarantined:
        names = [f"{given} ({reason})" for given, reason in evidence.quarantined]
        yield Finding(
            "warning",
            "unreadable",
            f"{counted(len(names), 'image')} cannot be read and will not be used: "
            f"{listed(names, 3)}; replace or remove them.",
            tuple(given for given, _ in evidence.quarantined),
        )


def _leaks(evidence: Evidence) -> Iterator[Finding]:
    for code, left_out, what in (
        ("test-leak", evidence.left_out, "a test image"),
        ("source-copy", evidence.source_copies, "a labelled target image"),
    ):
        if left_out:
            yield Finding(
                "warning",
                code,
                f"Left {counted(len(left_out), 'image')} out of training "
                f"({_split_counts(left_out)}) because the same file is also {what}: "
                f"{_examples(left_out)}; remove one of each to silence this.",
                _givens(left_out),
            )
    near = _with_splits(evidence.near, lambda splits: "test" in splits and len(splits) > 1)
    if near:
        yield Finding(
            "warning",
            "near-test-leak",
            f"Found {counted(_test_images(near), 'test image')} hardly to be told from an image "
            f"used in training, for instance {_group_example(near[0])}: the test score may be too "
            f"high; look at them and take one of each out.",
            _givens(entry for group in near for entry in group),
        )


def _duplicates(evidence: Evidence) -> Iterator[Finding]:
    kinds: tuple[tuple[str, str, Severity, Sequence[Sequence[Entry]]], ...] = (
        ("exact", "file", "error", evidence.exact),
        ("near", "nearly identical picture", "warning", evidence.near),
    )
    for kind, words, severity, groups in kinds:
        learned = [[entry for entry in group if entry.split != "test"] for group in groups]
        yield from _conflicts(kind, words, severity, learned)
        yield from _train_val(kind, words, learned)
        yield from _repeats(kind, words, groups)


def _conflicts(
    kind: str, words: str, severity: Severity, groups: list[list[Entry]]
) -> Iterator[Finding]:
    torn = [group for group in groups if len(_labels(group)) > 1]
    if torn:
        yield Finding(
            severity,
            f"{kind}-conflict",
            f"Found {counted(len(torn), words)} under two labels, for instance "
            f"{_group_example(torn[0])}: correct the label or remove the image that is wrong.",
            _givens(entry for group in torn for entry in group),
        )


def _train_val(kind: str, words: str, groups: list[list[Entry]]) -> Iterator[Finding]:
    shared = _with_splits(groups, lambda splits: {"train", "val"} <= splits)
    if shared:
        yield Finding(
            "warning",
            f"{kind}-train-val",
            f"Found {counted(len(shared), words)} in both train and val, for instance "
            f"{_group_example(shared[0])}: validation scores will be too high; take one out.",
            _givens(entry for group in shared for entry in group),
        )


def _repeats(kind: str, words: str, groups: Sequence[Sequence[Entry]]) -> Iterator[Finding]:
    inside = _with_splits(groups, lambda splits: len(splits) == 1)
    if inside:
        yield Finding(
            "info",
            f"{kind}-duplicates",
            f"Found {counted(len(inside), words)} more than once within a split, for instance "
            f"{_group_example(inside[0])}: copies used in training stay on one side of each fold.",
            _givens(entry for group in inside for entry in group),
        )


def _few_images(evidence: Evidence) -> Iterator[Finding]:
    split = "train" if any(entry.split == "train" for entry in evidence.entries) else "source"
    counts = _class_counts(evidence.entries, split)
    single = sorted(label for label, number in counts.items() if number < 2)
    if single:
        yield Finding(
            "warning",
            "few-images",
            f"{counted(len(single), 'class')} with a single {split} image ({listed(single)}): "
            f"they cannot be held out, so their accuracy stays unknown; add at least one more.",
        )


def _mismatches(evidence: Evidence) -> Iterator[Finding]:
    labelled = [entry for entry in evidence.entries if entry.split in ("train", "source")]
    classes = _labels(labelled)
    for domain in sorted({entry.domain for entry in labelled if entry.split == "source"}):
        own = _labels(e for e in labelled if e.domain == domain and e.split == "source")
        missing = sorted(classes - own)
        if missing:
            yield Finding(
                "info",
                "class-mismatch",
                f"The source '{domain}' has no image of {counted(len(missing), 'class')} "
                f"({listed(missing)}): it cannot teach them; check that the names agree.",
            )


def _imbalance(evidence: Evidence) -> Iterator[Finding]:
    ratio = evidence.imbalance
    if ratio is not None and ratio >= _IMBALANCE_INFO:
        yield Finding(
            "warning" if ratio >= _IMBALANCE_WARNING else "info",
            "imbalance",
            f"The largest class has {ratio:.1f} times the labelled images of the smallest: look "
            f"at balanced accuracy or macro-F1 beside accuracy.",
        )


def _colour(evidence: Evidence) -> Iterator[Finding]:
    """Where colour goes with the class, a model may learn colour and nothing else."""
    shares = {}
    labelled = [e for e in evidence.entries if e.split in ("train", "source")]
    for label in sorted(_labels(labelled)):
        own = [entry.grey for entry in labelled if entry.label == label]
        if len(own) >= _ENOUGH_FOR_SHARE:
            shares[label] = sum(own) / len(own)
    if shares and max(shares.values()) - min(shares.values()) > _COLOUR_GAP:
        grey, coloured = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        yield Finding(
            "warning",
            "colour-tells-class",
            f"{shares[grey]:.0%} of the images of '{grey}' have no colour but only "
            f"{shares[coloured]:.0%} of '{coloured}': a model may learn that instead of the "
            f"object; collect both kinds for each class.",
        )


def _size(evidence: Evidence) -> Iterator[Finding]:
    statistics = evidence.statistics
    side = min(statistics.width[1], statistics.height[1])
    if side < _SMALL_SIDE:
        yield Finding(
            "info",
            "small-images",
            f"The typical image is only {side} pixels wide or high: a small image size is enough.",
        )


def _with_splits(
    groups: Sequence[Sequence[Entry]], rule: Callable[[set[str]], bool]
) -> list[Sequence[Entry]]:
    return [group for group in groups if rule({entry.split for entry in group}) and len(group) > 1]


def _labels(entries: Iterable[Entry]) -> set[str]:
    return {entry.label for entry in entries if entry.label is not None}


def _class_counts(entries: Iterable[Entry], split: str) -> Counter[str]:
    return Counter(e.label for e in entries if e.split == split and e.label is not None)


def _givens(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry.given for entry in entries))


def _split_counts(entries: Sequence[Entry]) -> str:
    return listed(f"{n} {split}" for split, n in Counter(e.split for e in entries).items())


def _examples(entries: Sequence[Entry]) -> str:
    return listed(_givens(entries), 3)


def _group_example(group: Sequence[Entry]) -> str:
    return listed((f"{e.given} ({e.label or e.split})" for e in group), 3)


def _test_images(groups: Sequence[Sequence[Entry]]) -> int:
    return sum(entry.split == "test" for group in groups for entry in group)
