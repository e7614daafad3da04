"""Which side of the images in pixels frozen features classify best at, on no test image.

    python studies/benchmarks/image_size.py --shared ../shared --sizes 160,224,256

For each of the fixed tasks with few labels: images of its domain that are no test rows (at most
--images), of which as many of each class as the task has are drawn for training and the others
classified, --draws times. Features of MobileNetV1, MobileNetV2 and both side by side, averaged
over the image and its mirror image; logistic regression on them. Prints accuracies in per cent and
the seconds of a pass.
"""

import argparse
import csv
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tasks import FEW_LABELS

NETWORKS = ("mobilenetv1_100.in1k", "mobilenetv2_100.in1k")


def main() -> None:
    """Print one row per task and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(FEW_LABELS))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sizes", default="160,224")
    parser.add_argument("--images", type=int, default=650)
    parser.add_argument("--draws", type=int, default=6)
    arguments = parser.parse_args()
    if not (arguments.shared / "tasks").is_dir():
        sys.exit(f"no folder {arguments.shared / 'tasks'}: give --shared")
    names = [*(name.split("_")[0] for name in NETWORKS), "both"]
    print(f"| task | images | pixels | {' | '.join(names)} | seconds |\n|{' --- |' * 7}")
    for task in arguments.tasks:
        paths, labels, shots = outside_test(task, arguments)
        for size in map(int, arguments.sizes.split(",")):
            started = time.perf_counter()
            features = both_features(paths, size, arguments.shared)
            seconds = time.perf_counter() - started
            found = [accuracy(x, labels, shots, arguments.draws) for x in features]
            cells = " | ".join(f"{each:.1f}" for each in found)
            print(f"| {task} | {len(paths)} | {size} | {cells} | {seconds:.0f} |", flush=True)


def outside_test(
    task: str, arguments: argparse.Namespace
) -> tuple[list[Path], np.ndarray, Counter]:
    """Images of the task's domain that are no test rows, their labels, and its images by class."""
    table = arguments.shared / "tasks" / f"{task}.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    test = {(table.parent / row["image"]).resolve() for row in rows if row["split"] == "test"}
    shots = Counter(row["label"] for row in rows if row["split"] == "train")
    domain = next(iter(test)).parent.parent
    paths = [path for path in sorted(domain.glob("*/*")) if path not in test]
    chosen = np.random.default_rng(0).permutation(len(paths))[: arguments.images]
    paths = [paths[k] for k in np.sort(chosen)]
    return paths, np.array([path.parent.name for path in paths]), shots


@torch.no_grad()
def both_features(paths: list[Path], size: int, shared: Path) -> list[np.ndarray]:
    """(N, D) features of each network, then of both, each scaled to length sqrt(D)."""
    found = []
    for name in NETWORKS:
        model = timm.create_model(
            f"local-dir:{shared / 'weights' / name}", pretrained=True, num_classes=0
        ).eval()
        mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
        blocks = []
        for start in range(0, len(paths), 32):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + 32]]
            pixels = [
                np.asarray(ImageOps.fit(each, (size, size), Image.BICUBIC)) for each in images
            ]
            batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
            batch = (batch - mean) / std
            blocks.append((model(batch) + model(batch.flip(-1))) / 2)
        features = torch.nn.functional.normalize(torch.cat(blocks), dim=1)
        found.append((features * features.shape[1] ** 0.5).numpy())
    return [*found, np.concatenate(found, axis=1)]


def accuracy(features: np.ndarray, labels: np.ndarray, shots: Counter, draws: int) -> float:
    """Mean over the draws, in per cent."""
    right = []
    for draw in range(draws):
        random = np.random.default_rng(draw)
        train = np.concatenate(
            [random.permutation(np.flatnonzero(labels == k))[:n] for k, n in shots.items()]
        )
        held_out = np.setdiff1d(np.arange(len(labels)), train)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=500))
        model.fit(features[train], labels[train])
        right.append(np.mean(model.predict(features[held_out]) == labels[held_out]))
    return 100 * float(np.mean(right))


if __name__ == "__main__":
    main()
