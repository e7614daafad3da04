"""A study that looks like a real one, made from a seed: for the tests and for looking at."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image, ImageDraw

from automl_xfer.study.records import (
    FailureKind,
    Role,
    StudyRecord,
    StudyResult,
    TrialRecord,
    TrialState,
)

CLASSES = ["dog", "elephant", "giraffe", "guitar", "horse", "house", "person"]
BEGIN = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
LIFT = {"mobilenetv2_100": 0.0, "resnet18": 0.03, "scratch": -0.42}
LIFT |= {"linear-probe": -0.02, "frozen-depth": 0.0, "lp-ft": 0.05, "full": -0.06}
LIFT |= {"none": 0.0, "coral": -0.01, "adabn": 0.01, "flip-crop": 0.01}


def make_trial(trial_id: int, *, score: float | None = 0.7, **changes) -> TrialRecord:
    """A complete trial unless `changes` say otherwise."""
    strategy = {"backbone": {"name": "timm"}, "freezing": {"name": "lp-ft"}}
    values = {
        "id": trial_id,
        "study": "cartoon",
        "number": trial_id,
        "role": Role.SEARCH,
        "strategy": strategy,
        "description": f"strategy {trial_id}",
        "state": TrialState.COMPLETE,
        "seed": 0,
        "score": score,
        "started": BEGIN + timedelta(seconds=20 * trial_id),
        "finished": BEGIN + timedelta(seconds=20 * trial_id + 18),
    }
    return TrialRecord(**(values | changes))


def make_study(**changes) -> StudyRecord:
    """A study without a result unless `changes` bring one."""
    values = {
        "name": "cartoon",
        "created": BEGIN,
        "seed": 0,
        "metric": "accuracy",
        "options": {"target": "./data/cartoon", "source": ["./data/photo"], "time_limit": "10m"},
        "facts": {"n_train": 35, "n_unlabelled": 420, "n_test": 200, "classes": CLASSES},
        "manifest_hash": "4be1d09a77c2f013",
        "catalog": {"freezing": {"lp-ft": "0.1.0"}},
        "health": {},
        "version": "0.1.0",
        "phase": "searching",
    }
    return StudyRecord(**(values | changes))


def make_trials(count: int = 44) -> list[TrialRecord]:
    """Baselines, portfolio, search with pruned and failed ones, finalists' repeats."""
    draw = random.Random(7)
    trials = [_drawn(draw, number) for number in range(1, count)]
    best = max((t for t in trials if t.state is TrialState.COMPLETE), key=lambda t: t.score)
    for seed in (1, 2):
        trials.append(
            make_trial(
                count + seed,
                number=None,
                role=Role.FINALIST,
                repeats=best.id,
                strategy=best.strategy,
                description=best.description,
                score=best.score - 0.012 * seed,
                seed=seed,
            )
        )
    return trials


def _drawn(draw: random.Random, number: int) -> TrialRecord:
    fixed = {
        1: ("mobilenetv2_100", "linear-probe", "none", "none", "source-only"),
        2: ("mobilenetv2_100", "linear-probe", "none", "none", "linear-probe"),
        3: ("mobilenetv2_100", "full", "none", "flip-crop", "full-fine-tuning"),
        4: ("scratch", "full", "none", "flip-crop", "from-scratch"),
    }
    names = fixed.get(number) or (
        draw.choice(["mobilenetv2_100", "resnet18"]),
        draw.choice(["linear-probe", "frozen-depth", "lp-ft", "lp-ft", "full"]),
        draw.choice(["none", "coral", "adabn"]),
        draw.choice(["none", "flip-crop"]),
        None,
    )
    axes = ("backbone", "freezing", "alignment", "augmentation")
    chosen = {axis: {"name": name} for axis, name in zip(axes, names[:4], strict=True)}
    score = 0.69 + sum(LIFT[name] for name in names[:4]) + draw.gauss(0, 0.015)
    role = Role.BASELINE if number < 5 else Role.PORTFOLIO if number < 11 else Role.SEARCH
    seconds = draw.uniform(4, 22)
    trial = {
        "role": role,
        "baseline": names[4],
        "strategy": chosen | {"optimization": {"name": "adamw"}},
        "description": " · ".join([*(n for n in names[:4] if n != "none"), "adamw"]),
        "score": score - (0.14 if names[4] == "source-only" else 0),
        "complexity": 3 + (names[2] != "none"),
        "timings": {"train": seconds * 0.9, "total": seconds},
    }
    if number > 11 and draw.random() < 0.22:
        trial |= {"state": TrialState.PRUNED, "score": None, "steps": (score - 0.09,)}
    if number in (17, 29):
        trial |= {
            "state": TrialState.FAILED,
            "score": None,
            "failure_kind": FailureKind.OUT_OF_MEMORY if number == 17 else FailureKind.NAN,
            "failure_message": "The loss became NaN in epoch 3; try a lower learning rate.",
            "traceback": 'Traceback (most recent call last):\n  File "fit.py", line 88\nNaNError',
        }
    return make_trial(number, **trial)


def make_result(trials: list[TrialRecord], images: list[Path]) -> StudyResult:
    """A result in which the winner beats every baseline but one."""
    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.repeats is None]
    best = max(complete, key=lambda trial: trial.score)
    baselines = [
        {
            "name": trial.baseline,
            "trial": trial.id,
            "score": trial.score,
            "failure": None,
            "gain": best.score - trial.score,
            "gain_interval": [best.score - trial.score - 0.045, best.score - trial.score + 0.04],
        }
        for trial in trials[:4]
    ]
    draw = random.Random(3)
    confusion = [
        [draw.randint(20, 28) if i == j else max(0, draw.randint(-4, 3)) for j in range(7)]
        for i in range(7)
    ]
    return {
        "signal": "5-fold cross-validated accuracy on 35 target images",
        "metric": "accuracy",
        "winner": {
            "kind": "single",
            "trials": [best.id],
            "description": best.description,
            "score": best.score,
            "interval": [best.score - 0.052, best.score + 0.047],
            "seed_scores": [best.score, best.score - 0.012, best.score - 0.024],
        },
        "baselines": baselines,
        "test": {
            "n": 200,
            "scores": {"accuracy": 0.742, "balanced-accuracy": 0.733, "macro-f1": 0.729},
            "interval": [0.684, 0.801],
            "per_class_recall": {},
        },
        "classes": CLASSES,
        "confusion": confusion,
        "confusion_from": "test split",
        "mistakes": [
            {
                "image": str(path),
                "label": CLASSES[i % 7],
                "predicted": CLASSES[(i + 2) % 7],
                "confidence": 0.98 - 0.03 * i,
            }
            for i, path in enumerate(images)
        ],
        "notes": ["The ensemble was not better than the single best strategy by its interval."],
        "seconds": {"look": 21.4, "baselines": 74.0, "search": 382.1, "finalists": 61.3},
        "bundle": "studies/cartoon/bundle",
    }


def draw_images(folder: Path, count: int) -> list[Path]:
    """Small pictures in different shapes and colours."""
    paths = []
    for index in range(count):
        image = Image.new("RGB", (168 + 20 * index, 168), (235, 220 - 9 * index, 90 + 12 * index))
        ImageDraw.Draw(image).ellipse((30, 30, 140, 140), fill=(40 + 15 * index, 90, 160))
        paths.append(folder / f"cartoon_{index:03}.jpg")
        image.save(paths[-1])
    return paths


def count(split: str, domain: str, label: str | None, images: int) -> dict:
    """One entry of a health report's counts."""
    return {"split": split, "domain": domain, "label": label, "images": images}


def finished_study(folder: Path) -> tuple[StudyRecord, list[TrialRecord]]:
    """A whole study, with pictures in `folder`."""
    images, trials = draw_images(folder, 9), make_trials()
    result = make_result(trials, [*images, folder / "gone.jpg"])
    health = {
        "counts": [
            *(count("train", "target", name, 5) for name in CLASSES),
            *(count("source", "photo", name, 150 + 31 * i) for i, name in enumerate(CLASSES)),
            count("unlabelled", "target", None, 420),
            count("test", "target", None, 200),
        ],
        "quarantined": [
            {"image": "dog/broken.jpg", "reason": "truncated file"},
            {"image": "house/notes.txt", "reason": "no image"},
        ],
        "statistics": {"width": [168, 224, 500], "height": [168, 190, 375], "grey_share": 0.0},
        "findings": [
            {
                "severity": "error",
                "code": "leakage",
                "message": "2 images are in train and in test.",
                "images": ["dog/pic_031.jpg", "dog/pic_118.jpg"],
            },
            {
                "severity": "warning",
                "code": "near-duplicates",
                "message": "3 pairs of near duplicates in train.",
                "images": ["horse/pic_004.jpg", "horse/pic_007.jpg"],
            },
        ],
    }
    shown = {name: [str(images[i]), str(images[i + 1])] for i, name in enumerate(CLASSES)}
    facts = make_study().facts | {"sources": {"photo": 1670}, "thumbnails": shown}
    study = make_study(
        result=result, health=health, facts=facts, phase="finished", seconds_spent=561.0
    )
    return study, trials
