"""What an engineer writes in an afternoon: Optuna around a fine-tuning loop, nothing of ours.

    python studies/benchmarks/optuna_by_hand.py task.csv --weights-dir ../shared/weights \
        --time-limit 600 --checkpoints 120,600 --out predictions.json

TPE and a median pruner over backbone, learning rate, how many times faster the new head learns,
weight decay, epochs, batch size, augmentation, label smoothing, and whether the backbone is frozen,
scored on a stratified fifth of the labelled images. Images are decoded once and kept in memory. At
each checkpoint (seconds) the best trial so far is trained on all labelled images, and predicts the
test rows; their labels are never read. In its favour: that training and the imports do not count as
time, and its first two trials are sensible defaults, one that fine-tunes and one that trains the
head alone. Against it: a frozen backbone is computed anew in every epoch, as such scripts do.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import optuna
import timm
import torch
from PIL import Image, ImageOps
from sklearn.model_selection import train_test_split
from torch import nn
from torchvision.transforms import v2

SIZE = 160

FIRST = {
    "backbone": "mobilenetv2_100.in1k",
    "learning_rate": 3e-4,
    "head_times": 10,
    "weight_decay": 1e-2,
    "epochs": 20,
    "batch_size": 16,
    "augment": True,
    "label_smoothing": 0.1,
    "freeze": False,
}
"""What one would try without a search."""


def main() -> None:
    """Search, and write {checkpoint: labels of the test rows}."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--weights-dir", type=Path, required=True)
    parser.add_argument("--time-limit", type=float, default=600)
    parser.add_argument("--checkpoints", default="120,600")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    rows = list(csv.DictReader(arguments.table.open(newline="")))
    labelled = [row for row in rows if row["split"] == "train"]
    test = [row for row in rows if row["split"] == "test"]
    classes = sorted({row["label"] for row in labelled})
    started = time.perf_counter()
    images = load(labelled)
    labels = torch.tensor([classes.index(row["label"]) for row in labelled])
    search = Search(arguments, images, labels, len(classes), started)
    search.run()
    search.finish_checkpoints()
    test_images = load(test)
    predictions = {}
    for second, trial in search.best_at.items():
        predicted = search.refit(trial, test_images)
        predictions[second] = [classes[k] for k in predicted]
    told = {"predictions": predictions, "trials": len(search.study.trials)}
    arguments.out.write_text(json.dumps(told))


def load(rows: list[dict[str, str]]) -> torch.Tensor:
    """uint8 (N, 3, SIZE, SIZE)."""
    pictures = [Image.open(row["image"]).convert("RGB") for row in rows]
    pixels = [np.asarray(ImageOps.fit(each, (SIZE, SIZE), Image.BICUBIC)) for each in pictures]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


class Search:
    """One Optuna study over a fine-tuning loop."""

    def __init__(self, arguments, images, labels, num_classes, started) -> None:
        self.arguments, self.images, self.labels = arguments, images, labels
        self.num_classes, self.started = num_classes, started
        self.checkpoints = [float(each) for each in arguments.checkpoints.split(",")]
        self.best_at: dict[str, optuna.trial.FrozenTrial] = {}
        rows = np.arange(len(labels))
        self.train, self.held_out = train_test_split(
            rows, test_size=0.2, stratify=labels, random_state=arguments.seed
        )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=arguments.seed),
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=2),
        )

    def run(self) -> None:
        """Optimise until the time is up; a trial that runs over it is cut off."""
        self.study.enqueue_trial(FIRST)
        self.study.enqueue_trial(FIRST | {"freeze": True, "epochs": 40})
        self.study.optimize(self.objective, timeout=self.left())

    def left(self) -> float:
        """Seconds of the limit that are left."""
        return self.arguments.time_limit - (time.perf_counter() - self.started)

    def note_checkpoint(self) -> None:
        """Remember the best trial at the checkpoints that have passed."""
        passed = time.perf_counter() - self.started
        done = [t for t in self.study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        for second in self.checkpoints:
            if passed >= second and str(int(second)) not in self.best_at and done:
                self.best_at[str(int(second))] = max(done, key=lambda trial: trial.value)

    def finish_checkpoints(self) -> None:
        """Those that the last trial ran past."""
        for second in self.checkpoints:
            self.best_at.setdefault(str(int(second)), self.study.best_trial)

    def objective(self, trial: optuna.Trial) -> float:
        """Accuracy on the held-out fifth, reported after every epoch."""
        names = sorted(path.name for path in self.arguments.weights_dir.iterdir() if path.is_dir())
        settings = {
            "backbone": trial.suggest_categorical("backbone", names),
            "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
            "head_times": trial.suggest_categorical("head_times", [1, 10]),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
            "epochs": trial.suggest_int("epochs", 5, 60, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
            "augment": trial.suggest_categorical("augment", [False, True]),
            "label_smoothing": trial.suggest_categorical("label_smoothing", [0.0, 0.1]),
            "freeze": trial.suggest_categorical("freeze", [False, True]),
        }
        value = 0.0
        for epoch, model in self.epochs(settings, self.train):
            self.note_checkpoint()
            predicted = predict(model, self.images[self.held_out])
            value = float(np.mean(predicted == self.labels[self.held_out].numpy()))
            trial.report(value, epoch)
            if trial.should_prune() or self.left() <= 0:
                raise optuna.TrialPruned
        return value

    def epochs(self, settings: dict, rows: np.ndarray):
        """(epoch, model) after every epoch of training on these rows."""
        torch.manual_seed(self.arguments.seed)
        folder = self.arguments.weights_dir / settings["backbone"]
        model = timm.create_model(
            f"local-dir:{folder}", pretrained=True, num_classes=self.num_classes
        )
        model.eval()  # few labels: the pretrained statistics of batch norm stay
        if settings["freeze"]:
            model.requires_grad_(False)
            model.get_classifier().requires_grad_(True)
        head = list(model.get_classifier().parameters())
        trained = [p for p in model.parameters() if p.requires_grad]
        body = [p for p in trained if all(p is not each for each in head)]
        rate = settings["learning_rate"]
        optimizer = torch.optim.AdamW(
            [{"params": head, "lr": rate * settings["head_times"]}, {"params": body, "lr": rate}],
            weight_decay=settings["weight_decay"],
        )
        steps = settings["epochs"] * -(-len(rows) // settings["batch_size"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        loss_of = nn.CrossEntropyLoss(label_smoothing=settings["label_smoothing"])
        augment = v2.Compose(
            [v2.RandomResizedCrop(SIZE, (0.6, 1.0), antialias=True), v2.RandomHorizontalFlip()]
        )
        for epoch in range(settings["epochs"]):
            for batch in torch.tensor(rows)[torch.randperm(len(rows))].split(
                settings["batch_size"]
            ):
                images = self.images[batch]
                if settings["augment"]:
                    images = torch.stack([augment(image) for image in images])
                loss = loss_of(model(normalised(model, images)), self.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            yield epoch, model

    def refit(self, trial: optuna.trial.FrozenTrial, test: torch.Tensor) -> np.ndarray:
        """Class numbers of the test images after training on all labelled ones."""
        *_, (_, model) = self.epochs(trial.params, np.arange(len(self.labels)))
        return predict(model, test)


def normalised(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Float images as the weights expect them."""
    mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    return (images / 255 - mean) / std


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    """(N,) class numbers."""
    batches = [model(normalised(model, batch)).argmax(1) for batch in images.split(32)]
    return torch.cat(batches).numpy()


if __name__ == "__main__":
    main()
