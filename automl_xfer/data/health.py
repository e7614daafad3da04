"""check_health: look at every image once, before anyone trains on it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from automl_xfer.data.decode import UnreadableImageError
from automl_xfer.data.duplicates import connected, exact_groups, near_pairs
from automl_xfer.data.findings import Entry, Evidence, make_findings
from automl_xfer.data.fingerprint import Fingerprint, take_fingerprints
from automl_xfer.data.health_report import Count, HealthReport, ImageStatistics
from automl_xfer.data.manifest import Manifest, ScannedData, Split, TestSplit
from automl_xfer.data.wording import counted, listed
from automl_xfer.errors import DataError


def check_health(
    scanned: ScannedData,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ScannedData, HealthReport]:
    """The data without what cannot be used, and a report of everything found.

    Unreadable images are taken out of every split; training, source and unlabelled images that
    are byte for byte a test image are taken out of training, and so are source images that are
    labelled target images, as they would bring a held-out label into every fold. Test images are
    compared by pixels only: nothing in the report depends on their labels. `workers` are threads.

    Raises:
        DataError: what is left is not enough to learn from.
    """
    roles = _roles(scanned)
    prints = take_fingerprints([role.path for role in roles], workers, progress)
    good = {path: found for path, found in prints.items() if isinstance(found, Fingerprint)}
    broken = {path: found for path, found in prints.items() if path not in good}
    quarantined = _quarantined(roles, broken)
    readable = [role for role in roles if role.path in good]
    left_out = _copies_of_test(readable, good)
    source_copies = _copies_of_target(readable, good)
    checked = _keep(
        scanned, good, {(role.path, role.entry.split) for role in (*left_out, *source_copies)}
    )
    _check_enough(scanned.manifest, checked.manifest, quarantined, len(left_out))
    return checked, _report(scanned, checked, readable, good, quarantined, left_out, source_copies)


@dataclass(frozen=True)
class _Role:
    """One image in one split; the same file may have several roles."""

    path: Path
    entry: Entry


def _roles(scanned: ScannedData) -> list[_Role]:
    roles = [
        _Role(sample.path, Entry(sample.given, sample.split, sample.domain, sample.label))
        for sample in scanned.manifest.samples
    ]
    if scanned.test:
        pairs = zip(scanned.test.paths, scanned.test.given, strict=True)
        roles += [_Role(path, Entry(given, "test", "target", None)) for path, given in pairs]
    return roles


def _quarantined(
    roles: Iterable[_Role], broken: Mapping[Path, Fingerprint | UnreadableImageError]
) -> tuple[tuple[str, str], ...]:
    found = {}
    for role in roles:
        defect = broken.get(role.path)
        if isinstance(defect, UnreadableImageError):
            found[role.entry.given] = defect.reason
    return tuple(found.items())


def _copies_of_test(roles: Sequence[_Role], prints: Mapping[Path, Fingerprint]) -> list[_Role]:
    """Roles outside the test split whose file is also a test image."""
    tested = {prints[role.path].digest for role in roles if role.entry.split == "test"}
    return [
        role for role in roles if role.entry.split != "test" and prints[role.path].digest in tested
    ]


def _copies_of_target(roles: Sequence[_Role], prints: Mapping[Path, Fingerprint]) -> list[_Role]:
    """Source roles whose file is also a labelled target image, and no test image."""
    digests = {
        split: {prints[role.path].digest for role in roles if role.entry.split == split}
        for split in ("train", "val", "test")
    }
    copied = (digests["train"] | digests["val"]) - digests["test"]
    return [
        role
        for role in roles
        if role.entry.split == "source" and prints[role.path].digest in copied
    ]


def _keep(
    scanned: ScannedData, prints: Mapping[Path, Fingerprint], left_out: set[tuple[Path, str]]
) -> ScannedData:
    samples = tuple(
        sample
        for sample in scanned.manifest.samples
        if sample.path in prints and (sample.path, sample.split) not in left_out
    )
    test = _readable_test(scanned.test, prints) if scanned.test else None
    return replace(scanned, manifest=Manifest(samples), test=test)


def _readable_test(test: TestSplit, prints: Mapping[Path, Fingerprint]) -> TestSplit | None:
    rows = [
        row for row in zip(test.paths, test.given, test.labels, strict=True) if row[0] in prints
    ]
    if not rows:
        return None
    paths, given, labels = zip(*rows, strict=True)
    return TestSplit(paths, given, labels)


def _check_enough(
    before: Manifest, after: Manifest, quarantined: Sequence[tuple[str, str]], copies: int
) -> None:
    split: Split = "train" if before.select("train") else "source"
    lost = sorted(_labels(before, split) - _labels(after, split))
    no_target = not after.select("train", "unlabelled")
    if not lost and not no_target:
        return
    what = f"no image of {counted(len(lost), 'class')} ({listed(lost)})" if lost else "no image"
    causes = [f"{given} ({reason})" for given, reason in quarantined]
    if copies:
        causes.append(f"{counted(copies, 'image')} that are also test images")
    raise DataError(
        f"After leaving out {listed(causes, 3)}, {what} is left to learn from: replace these files "
        f"or remove what they belong to."
    )


def _labels(manifest: Manifest, split: Split) -> set[str]:
    return {sample.label for sample in manifest.select(split) if sample.label is not None}


def _report(
    scanned: ScannedData,
    checked: ScannedData,
    readable: Sequence[_Role],
    prints: Mapping[Path, Fingerprint],
    quarantined: tuple[tuple[str, str], ...],
    left_out: Sequence[_Role],
    source_copies: Sequence[_Role],
) -> HealthReport:
    entries = [replace(role.entry, grey=prints[role.path].is_grey) for role in readable]
    exact, near, ids = _same_pictures(readable, prints)
    dropped = {id(role) for role in (*left_out, *source_copies)}
    kept = [entry for role, entry in zip(readable, entries, strict=True) if id(role) not in dropped]
    imbalance, statistics = _imbalance(checked.manifest), _statistics(list(prints.values()))
    evidence = Evidence(
        entries=kept,
        quarantined=quarantined,
        exact=[[entries[index] for index in group] for group in exact],
        near=[[entries[index] for index in group] for group in near],
        left_out=[role.entry for role in left_out],
        source_copies=[role.entry for role in source_copies],
        imbalance=imbalance,
        statistics=statistics,
        warnings=[*scanned.warnings, *_lost_whole(scanned, checked)],
    )
    return HealthReport(
        counts=_counts(kept),
        quarantined=quarantined,
        exact_duplicates=tuple(tuple(entries[i].given for i in group) for group in exact),
        near_duplicates=tuple(tuple(entries[i].given for i in group) for group in near),
        imbalance=imbalance,
        statistics=statistics,
        findings=make_findings(evidence),
        digests={path: found.digest for path, found in prints.items()},
        groups={role.path: int(group) for role, group in zip(readable, ids, strict=True)},
    )


def _same_pictures(
    roles: Sequence[_Role], prints: Mapping[Path, Fingerprint]
) -> tuple[list[list[int]], list[list[int]], Sequence[int]]:
    """Groups of exact copies, groups of near duplicates, and an id per role that joins both."""
    found = [prints[role.path] for role in roles]
    exact = exact_groups([one.digest for one in found])
    first = {found[index].digest: index for index in reversed(range(len(found)))}
    distinct = sorted(first.values())
    pairs = near_pairs(np.stack([found[index].thumbnail for index in distinct]))
    near = [[distinct[low], distinct[high]] for low, high in pairs]
    return exact, _merged(len(roles), near), connected(len(roles), [*exact, *near]).tolist()


def _merged(n: int, pairs: list[list[int]]) -> list[list[int]]:
    """Pairs that share an image, joined into sorted groups."""
    ids = connected(n, pairs)
    members: dict[int, list[int]] = {}
    for index in sorted({index for pair in pairs for index in pair}):
        members.setdefault(int(ids[index]), []).append(index)
    return list(members.values())


def _counts(entries: Iterable[Entry]) -> tuple[Count, ...]:
    numbers = Counter((entry.split, entry.domain, entry.label) for entry in entries)
    return tuple(
        Count(split, domain, label, number) for (split, domain, label), number in numbers.items()
    )


def _imbalance(manifest: Manifest) -> float | None:
    samples = manifest.select("train") or manifest.select("source")
    numbers = Counter(sample.label for sample in samples).values()
    return max(numbers) / min(numbers) if numbers else None


def _statistics(prints: Sequence[Fingerprint]) -> ImageStatistics:
    def spread(sides: list[int]) -> tuple[int, int, int]:
        return min(sides), int(np.median(sides)), max(sides)

    return ImageStatistics(
        width=spread([one.width for one in prints]),
        height=spread([one.height for one in prints]),
        grey_share=sum(one.is_grey for one in prints) / len(prints),
    )


def _lost_whole(scanned: ScannedData, checked: ScannedData) -> list[str]:
    """Say which sources, and whether the test split, had images and have none left."""
    lost = [
        f"No image of the source '{domain}' is left, so it is not used."
        for domain in sorted(set(scanned.manifest.sources) - set(checked.manifest.sources))
    ]
    if scanned.test and not checked.test:
        lost.append("No test image can be read, so there will be no test score.")
    return lost
