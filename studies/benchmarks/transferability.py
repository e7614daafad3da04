"""Do the transferability estimators order the backbones as the final accuracy does?

    python studies/benchmarks/transferability.py --shared ../shared

Pool: the four backbones of ../shared/weights, frozen, at 160 px. Final accuracy: logistic
regression as the search fits it. With labels: five images per class of each of the 7 domains, three
draws, accuracy on the other images. Without target labels: the 18 pairs of Office-Caltech10 and
PACS, trained on the source, accuracy on the target. Prints the mean Kendall rank correlation of
each estimator with the accuracy, and how much accuracy its first choice loses against the best.
"""

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from adaptation import OFFICE, PACS, images
from automl_xfer_plugins.heads.logistic_regression import LogisticRegressionHead
from scipy.stats import kendalltau

from automl_xfer.components import BackboneRequest, TransferabilityEstimator
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.plugin.source import PluginSource
from automl_xfer.space.facts import objections
from automl_xfer.transfer.feature_cache import FeatureCache

SIZE, SHOTS, DRAWS, SAMPLE = 160, 5, 3, 400
FAMILIES = {"office_caltech10": OFFICE, "pacs": PACS}
Domain = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    """Print one table for labelled targets and one for unlabelled ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=Path("studies/.cache"))
    arguments = parser.parse_args()
    catalog = PluginSource().load()[1]
    request = BackboneRequest(weights_dir=(arguments.shared / "weights").resolve())
    backbones = [b for b in catalog.backbones(request) if b.initialisation == "pretrained"]
    single = [b for b in backbones if b.parts == (b.label,)]
    features = [read(arguments, backbone) for backbone in single]
    made = [kind() for kind in catalog.classes["transferability"].values()]
    labelled = frozenset({"target_labels"})
    unlabelled = frozenset({"no_target_labels", "source"})
    report("labelled", [e for e in made if not objections(e, labelled)], with_labels(features))
    report("unlabelled", [e for e in made if not objections(e, unlabelled)], without(features))


def read(arguments: argparse.Namespace, backbone) -> dict[tuple[str, str], Domain]:
    """(family, domain) -> features and labels."""
    model, found = backbone.build(), {}
    for family, domains in FAMILIES.items():
        for domain in domains:
            rows = images(arguments, family, domain)
            names = sorted({row["label"] for row in rows})
            labels = np.array([names.index(row["label"]) for row in rows])
            stored = ImageCache(arguments.cache).load([Path(r["image"]) for r in rows], SIZE)
            whole = FeatureCache(arguments.cache).features(model, stored, "cpu")
            tensor = torch.from_numpy(np.asarray(whole, np.float32))
            found[family, domain] = (tensor, torch.from_numpy(labels))
    print(backbone.label, "read", flush=True)
    return found


Case = list[tuple[Domain, torch.Tensor, float]]
"""For each backbone: what estimators read, and the accuracy in per cent."""


def with_labels(features: list[dict[tuple[str, str], Domain]]) -> list[Case]:
    """Five labels per class of each domain, three draws."""
    cases = []
    for key, (_, labels) in features[0].items():
        for seed in range(DRAWS):
            random = np.random.default_rng(seed)
            shots = [
                random.permutation(np.flatnonzero(labels.numpy() == k))[:SHOTS]
                for k in range(int(labels.max()) + 1)
            ]
            seen = torch.from_numpy(np.concatenate(shots))
            rest = torch.from_numpy(np.setdiff1d(np.arange(len(labels)), seen))
            case = []
            for each in features:
                x, y = each[key]
                accuracy = fitted_accuracy((x[seen], y[seen]), (x[rest], y[rest]))
                case.append(((x[seen], y[seen]), x[:0], accuracy))
            cases.append(case)
    return cases


def without(features: list[dict[tuple[str, str], Domain]]) -> list[Case]:
    """Every ordered pair of domains of one family; estimators read 400 images of each."""
    cases = []
    for family, domains in FAMILIES.items():
        for source, target in permutations(domains, 2):
            case = []
            for each in features:
                known, seen = each[family, source], each[family, target]
                draw = torch.randperm(len(known[1]), generator=torch.Generator().manual_seed(0))
                rows = draw[:SAMPLE]
                part = (known[0][rows], known[1][rows])
                case.append((part, seen[0][:: max(1, len(seen[0]) // SAMPLE)], 0.0))
                case[-1] = (*case[-1][:2], fitted_accuracy(known, seen))
            cases.append(case)
    return cases


def fitted_accuracy(known: Domain, seen: Domain) -> float:
    """Accuracy in per cent of logistic regression fitted on one and read on the other."""
    head = LogisticRegressionHead().fit(*known, int(known[1].max()) + 1)
    with torch.no_grad():
        return 100 * float((head(seen[0]).argmax(1) == seen[1]).float().mean())


def report(title: str, estimators: list[TransferabilityEstimator], cases: list[Case]) -> None:
    """Mean rank correlation and loss of each estimator, and of their mean rank."""
    print(f"\n| {title}: {len(cases)} cases | Kendall's tau | points lost by the first choice |")
    print("| --- | --- | --- |")
    scores = {
        estimator.name: [[estimator.estimate(*known, seen) for known, seen, _ in c] for c in cases]
        for estimator in estimators
    }
    tables = np.array(list(scores.values()))  # (estimators, cases, backbones)
    scores["mean rank"] = tables.argsort(-1).argsort(-1).mean(0).tolist()
    for name, rows in scores.items():
        taus, lost = [], []
        for row, case in zip(rows, cases, strict=True):
            accuracies = [accuracy for _, _, accuracy in case]
            taus.append(np.nan_to_num(kendalltau(row, accuracies).statistic))
            lost.append(max(accuracies) - accuracies[int(np.argmax(row))])
        print(f"| {name} | {np.mean(taus):+.2f} | {np.mean(lost):.1f} |", flush=True)


if __name__ == "__main__":
    main()
