"""Our search beside frozen features with logistic regression, on the fixed tasks.

    python studies/benchmarks/tasks.py --shared ../shared --time-limit 10m [TASK ...]

For each task the search gets the rows that are not `test`, as a CSV of its own; the finished
bundle predicts the test images once. Beside it, in the same run: MobileNetV1 features at 160 pixels
and at 224 (shorter side resized, centre crop), standardised, and logistic regression with C
cross-validated on the labelled rows: the target's, or the source's where the target has none
(`source-only`). The search reads images at the size that it chooses, one of these two. Prints one
row per task, and the mean gain over 160 pixels.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEW_LABELS = ("cartoon-5shot", "art-20shot", "caltech-5shot")
NO_LABELS = ("photo-to-art", "art-to-cartoon", "amazon-to-webcam")
BASELINE = "mobilenetv1_100.in1k"
SIZE, LARGE = 160, 224


def main() -> None:
    """Run every task and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=[*FEW_LABELS, *NO_LABELS])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--time-limit", default="10m")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--keep", type=Path, help="folder for the studies (default: temporary)")
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    keep = arguments.keep or Path(tempfile.mkdtemp())
    results = [run_task(name, arguments, keep) for name in arguments.tasks]
    print_table(results)


def run_task(name: str, arguments: argparse.Namespace, keep: Path) -> dict[str, object]:
    """One task: our search, its predictions on the test rows, and the baseline."""
    table = arguments.shared / "tasks" / f"{name}.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    for row in rows:
        row["image"] = str((table.parent / row["image"]).resolve())
    seen = [row for row in rows if row["split"] != "test"]
    test = [row for row in rows if row["split"] == "test"]
    folder = keep / name
    folder.mkdir(parents=True, exist_ok=True)
    ours = search_and_predict(seen, test, folder, arguments)
    started = time.perf_counter()
    theirs = logistic_regression(seen, test, arguments.shared, SIZE)
    seconds = time.perf_counter() - started
    larger = logistic_regression(seen, test, arguments.shared, LARGE)
    truth = [row["label"] for row in test]
    result = {
        "task": name,
        **{f"our {key}": value for key, value in score(truth, ours["labels"]).items()},
        "our seconds": ours["seconds"],
        "trials": ours["trials"],
        "winner": ours["winner"],
        **{f"LR {key}": value for key, value in score(truth, theirs).items()},
        "LR seconds": seconds,
        "LR accuracy at 224": score(truth, larger)["accuracy"],
        "our image size": ours["image size"],
    }
    print(json.dumps(result), flush=True)
    return result


def search_and_predict(
    seen: list[dict[str, str]], test: list[dict[str, str]], folder: Path, arguments
) -> dict[str, object]:
    """Run the command line as a user would; labels for the test rows."""
    write_csv(folder / "task.csv", seen, ["image", "label", "domain", "split"])
    write_csv(folder / "test.csv", test, ["image"])
    command = [sys.executable, "-m", "automl_xfer"]
    started = time.perf_counter()
    search = subprocess.run(
        [
            *command,
            "search",
            *("--target", "task.csv", "--study", folder.name, "--json"),
            *("--weights-dir", str((arguments.shared / "weights").resolve())),
            *("--time-limit", arguments.time_limit, "--seed", arguments.seed),
        ],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - started
    subprocess.run(
        [*command, "predict", folder.name, "test.csv", "--out", "predictions.csv"],
        cwd=folder,
        check=True,
    )
    shown = subprocess.run(
        [*command, "studies", "show", folder.name, "--json"],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    study = json.loads(shown.stdout)
    predictions = csv.DictReader((folder / "predictions.csv").open(newline=""))
    return {
        "labels": [row["label"] for row in predictions],
        "seconds": seconds,
        "trials": len(study["trials"]),
        "winner": json.loads(search.stdout)["winner"]["description"],
        "image size": study["facts"]["image_size"],
    }


def write_csv(path: Path, rows: list[dict[str, str]], columns: list[str]) -> None:
    """Write these columns of the rows."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def logistic_regression(
    seen: list[dict[str, str]], test: list[dict[str, str]], shared: Path, size: int
) -> list[str]:
    """Labels for the test rows by cross-validated logistic regression on frozen features."""
    labelled = [row for row in seen if row["split"] == "train"] or [
        row for row in seen if row["split"] == "source"
    ]
    model = timm.create_model(
        f"local-dir:{shared / 'weights' / BASELINE}", pretrained=True, num_classes=0
    ).eval()
    x, y = features(model, labelled, size), np.array([row["label"] for row in labelled])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}
    fewest = int(np.unique(y, return_counts=True)[1].min())
    folds = StratifiedKFold(max(2, min(5, fewest)), shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, grid, cv=folds).fit(x, y)
    return search.predict(features(model, test, size)).tolist()


@torch.no_grad()
def features(model: torch.nn.Module, rows: list[dict[str, str]], size: int) -> np.ndarray:
    """(N, D) pooled features."""
    mean, std = (model.pretrained_cfg[key] for key in ("mean", "std"))
    blocks = []
    for start in range(0, len(rows), 64):
        images = [Image.open(row["image"]).convert("RGB") for row in rows[start : start + 64]]
        pixels = [ImageOps.fit(image, (size, size), Image.BICUBIC) for image in images]
        batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
        batch = (batch - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        blocks.append(model(batch).numpy())
    return np.concatenate(blocks)


def score(truth: list[str], predicted: list[str]) -> dict[str, float]:
    """Accuracy and macro-F1 in per cent."""
    return {
        "accuracy": 100 * accuracy_score(truth, predicted),
        "macro-F1": 100 * f1_score(truth, predicted, average="macro", zero_division=0),
    }


def print_table(results: list[dict]) -> None:
    """A Markdown table and the mean gain of each group of tasks."""
    print(
        "\n| task | ours: accuracy, macro-F1 | pixels | seconds | trials | logistic regression: "
        f"accuracy, macro-F1 | at {LARGE} pixels | gain |\n|{' --- |' * 8}"
    )
    for r in results:
        gain = r["our accuracy"] - r["LR accuracy"]
        print(
            f"| {r['task']} | {r['our accuracy']:.1f}, {r['our macro-F1']:.1f} | "
            f"{r['our image size']} | {r['our seconds']:.0f} | {r['trials']} | "
            f"{r['LR accuracy']:.1f}, {r['LR macro-F1']:.1f} | {r['LR accuracy at 224']:.1f} | "
            f"{gain:+.1f} |"
        )
    for title, names in (("few labels", FEW_LABELS), ("no target label", NO_LABELS)):
        gains = [r["our accuracy"] - r["LR accuracy"] for r in results if r["task"] in names]
        if gains:
            print(f"\nmean gain, {title}: {np.mean(gains):+.1f} points, least {min(gains):+.1f}")


if __name__ == "__main__":
    main()
