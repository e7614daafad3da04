"""Adaptation without target labels, against source-only and against the best by target labels.

    python studies/benchmarks/adaptation.py PART --shared ../shared --time-limit 2m --keep DIR

PART is one of
  pairs      6 PACS and 12 Office-Caltech10 pairs: source-only, chosen, oracle, regret
  sources    art-and-cartoon-3shot with its source and without
  harmful    a planted harmful source: labels shuffled; another subject
  shift      one class at 5 times the others' share, with and without correction
  shifted    the whole search on such targets, as in `pairs`
(The three fixed tasks: tasks.py; the table of components: components.py.)

In `pairs` every target image is unlabelled. Source-only, chosen and oracle are read from the same
stored predictions on these images (on those that the search read, where its time is too short for
all), made by fits on 80 % of the source; only this script knows the target's labels. Chosen is the
mean prediction of the winner's members; the oracle is the best single trial by target labels, of
those that the search tried.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from automl_xfer.data import check_health, scan
from automl_xfer.search.sampling import thinned
from automl_xfer.study.address import normalise_url
from automl_xfer.study.records import TrialState
from automl_xfer.study.store import StudyStore

OFFICE = ("amazon", "caltech", "dslr", "webcam")
PACS = ("photo", "art_painting", "cartoon")


def main() -> None:
    """Run one part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--time-limit", default="2m")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", default="", help="names that hold this text")
    parser.add_argument("--keep", type=Path, help="folder for the studies (default: temporary)")
    arguments = parser.parse_args()
    if not (arguments.shared / "data").is_dir():
        sys.exit(f"no folder {arguments.shared / 'data'}: give --shared")
    arguments.keep = arguments.keep or Path(tempfile.mkdtemp())
    PARTS[arguments.part](arguments)


def images(arguments: argparse.Namespace, family: str, domain: str) -> list[dict[str, str]]:
    """Every image of a domain with its label."""
    folder = (arguments.shared / "data" / family / domain).resolve()
    return [
        {"image": str(path), "label": path.parent.name, "domain": domain}
        for path in sorted(folder.glob("*/*"))
        if path.is_file()
    ]


def search(
    arguments: argparse.Namespace, name: str, rows: list[dict[str, str]]
) -> tuple[dict, list, Path]:
    """Search as a user would, on a CSV of these rows; the result, the trials and the folder.

    A study that is there already, finished, is read and not searched again.
    """
    folder = arguments.keep / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "studies" / name / "bundle").exists():
        run_search(arguments, name, rows, folder)
    store = StudyStore(normalise_url(None, folder / "studies"))
    return dict(store.get_study(name).result or {}), store.trials(name), folder / "studies" / name


def run_search(
    arguments: argparse.Namespace, name: str, rows: list[dict[str, str]], folder: Path
) -> None:
    """Write the CSV and run the command."""
    with (folder / "task.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "label", "domain", "split"])
        writer.writeheader()
        writer.writerows(rows)
    subprocess.run(
        [
            *(sys.executable, "-m", "automl_xfer", "search"),
            *("--target", "task.csv", "--study", name, "--json"),
            *("--weights-dir", str((arguments.shared / "weights").resolve())),
            *("--time-limit", arguments.time_limit, "--seed", arguments.seed),
        ],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
    )


def hidden(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Target rows without their labels."""
    return [{**row, "label": "", "split": "unlabelled", "domain": "target"} for row in rows]


def as_source(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Labelled source rows."""
    return [{**row, "split": "source"} for row in rows]


def pairs(arguments: argparse.Namespace) -> None:
    """Every ordered pair of domains of both families."""
    results = []
    for family, domains in (("pacs", PACS), ("office_caltech10", OFFICE)):
        for source in domains:
            for target in domains:
                name = f"{source}-to-{target}"
                if source != target and arguments.only in name:
                    known = images(arguments, family, target)
                    results.append(pair(arguments, name, family, source, known))
    print_pairs(results)


def pair(
    arguments: argparse.Namespace, name: str, family: str, source: str, known: list[dict[str, str]]
) -> dict:
    """One pair: accuracies in per cent on the target images `known`, unlabelled to the search."""
    rows = [*as_source(images(arguments, family, source)), *hidden(known)]
    result, trials, folder = search(arguments, name, rows)
    stored = {
        trial.id: np.load(folder / trial.predictions_path)["unlabelled"]
        for trial in trials
        if trial.state is TrialState.COMPLETE
    }
    read = len(next(iter(stored.values())))
    truth = labels_of_unlabelled(arguments.keep / name / "task.csv", known, read)
    scores = {number: accuracy(predicted, truth) for number, predicted in stored.items()}
    chosen = np.mean([stored[number] for number in result["winner"]["trials"]], axis=0)
    best = max(scores, key=lambda number: scores[number])
    reference = next(scores[t.id] for t in trials if t.baseline == "source-only")
    found = {
        "pair": name,
        "family": family,
        "images": len(truth),
        "source-only": reference,
        "chosen": accuracy(chosen, truth),
        "oracle": scores[best],
        "trials": len(scores),
        "seconds": result["seconds"]["whole run"],
        "winner": result["winner"]["description"],
        "oracle strategy": next(t.description for t in trials if t.id == best),
    }
    print(json.dumps(found), flush=True)
    return found


def labels_of_unlabelled(table: Path, known: list[dict[str, str]], n: int) -> np.ndarray:
    """Class numbers of the n unlabelled images that the search read, in its order."""
    found = scan(table)
    checked, _ = check_health(found)
    classes = {name: number for number, name in enumerate(checked.manifest.classes)}
    labels = {row["image"]: row["label"] for row in known}
    if len(checked.manifest.samples) < len(found.manifest.samples):
        sys.exit(f"{table}: an image was left out, so predictions and labels cannot be matched")
    seen = thinned(checked.manifest.select("unlabelled"), n)
    return np.array([classes[labels[str(sample.path)]] for sample in seen])


def accuracy(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Per cent."""
    return 100 * float(np.mean(probabilities.argmax(1) == truth))


def print_pairs(results: list[dict]) -> None:
    """A Markdown table, and the means of each family."""
    print(
        "\n| pair | images | source-only | chosen | gain | oracle | regret | trials | seconds |"
        "\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for r in results:
        print(
            f"| {r['pair']} | {r['images']} | {r['source-only']:.1f} | {r['chosen']:.1f} | "
            f"{r['chosen'] - r['source-only']:+.1f} | {r['oracle']:.1f} | "
            f"{r['oracle'] - r['chosen']:.1f} | {r['trials']} | {r['seconds']:.0f} |"
        )
    for family in dict.fromkeys(r["family"] for r in results):
        mine = [r for r in results if r["family"] == family]
        gains = [r["chosen"] - r["source-only"] for r in mine]
        regrets = [r["oracle"] - r["chosen"] for r in mine]
        print(
            f"\n{family}: {len(mine)} pairs, mean gain {np.mean(gains):+.1f}, least gain "
            f"{min(gains):+.1f}, mean regret {np.mean(regrets):.1f}"
        )
    regrets = [r["oracle"] - r["chosen"] for r in results]
    print(f"\nall: {len(results)} pairs, mean regret {np.mean(regrets):.1f}")


def sources(arguments: argparse.Namespace) -> None:
    """art-and-cartoon-3shot with the source against the same without, on its test rows."""
    from tasks import run_task, write_csv

    task = "art-and-cartoon-3shot"
    table = arguments.shared / "tasks" / f"{task}.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    alone = arguments.keep / "shared" / "tasks"
    alone.mkdir(parents=True, exist_ok=True)
    for row in rows:
        row["image"] = str((table.parent / row["image"]).resolve())
    kept = [row for row in rows if row["split"] != "source"]
    write_csv(alone / f"{task}-alone.csv", kept, list(rows[0]))
    weights = alone.parent / "weights"
    if not weights.exists():
        weights.symlink_to((arguments.shared / "weights").resolve())
    shared = arguments.shared
    found = [run_task(task, arguments, arguments.keep)]
    arguments.shared = alone.parent
    found.append(run_task(f"{task}-alone", arguments, arguments.keep))
    arguments.shared = shared
    print("\n| task | accuracy | macro-F1 | seconds | trials |\n| --- | --- | --- | --- | --- |")
    for r in found:
        print(
            f"| {r['task']} | {r['our accuracy']:.1f} | {r['our macro-F1']:.1f} | "
            f"{r['our seconds']:.0f} | {r['trials']} |"
        )


def harmful(arguments: argparse.Namespace) -> None:
    """Webcam without labels: amazon as a good source beside one that can only harm."""
    generator = random.Random(0)
    good = as_source(images(arguments, "office_caltech10", "amazon"))
    target = images(arguments, "office_caltech10", "webcam")
    caltech = images(arguments, "office_caltech10", "caltech")
    labels = [row["label"] for row in caltech]
    generator.shuffle(labels)
    shuffled = [{**row, "label": label} for row, label in zip(caltech, labels, strict=True)]
    classes = sorted({row["label"] for row in target})
    photos = images(arguments, "pacs", "photo")
    subjects = {name: classes[k] for k, name in enumerate(sorted({r["label"] for r in photos}))}
    other = [{**row, "label": subjects[row["label"]]} for row in photos]
    rows = []
    for name, bad in (("none", []), ("labels shuffled", shuffled), ("another subject", other)):
        if arguments.only not in name:
            continue
        study = f"webcam-beside-{name.replace(' ', '-')}"
        table = [*good, *as_source(bad), *hidden(target)]
        result, trials, folder = search(arguments, study, table)
        chosen = [t for t in trials if t.id in result["winner"]["trials"]]
        stored = [np.load(folder / t.predictions_path)["unlabelled"] for t in chosen]
        truth = labels_of_unlabelled(arguments.keep / study / "task.csv", target, len(stored[0]))
        reference = next(t for t in trials if t.baseline == "source-only")
        plain = np.load(folder / reference.predictions_path)["unlabelled"]
        weights = {each["name"]: round(each["weight"], 2) for each in result["sources"]}
        rows.append((name, accuracy(plain, truth), accuracy(np.mean(stored, 0), truth), weights))
        print(name, result["winner"]["description"], json.dumps(result["sources"]), flush=True)
        print(*result["notes"], sep="\n", flush=True)
    print("\n| harmful source | all sources, no alignment | chosen | weights |")
    print("| --- | --- | --- | --- |")
    for name, plain, ours, weights in rows:
        print(f"| {name} | {plain:.1f} | {ours:.1f} | {weights} |")


def shift(arguments: argparse.Namespace) -> None:
    """Webcam and art with one class at 5 times the others' share, each class in turn."""
    from label_shift import print_shift

    print_shift(arguments)


def shifted(arguments: argparse.Namespace) -> None:
    """Two classes of each target in turn as the frequent one: the choice of the whole search."""
    from label_shift import PAIRS, draw

    results = []
    for family, source, target in PAIRS:
        pool = images(arguments, family, target)
        classes = sorted({row["label"] for row in pool})
        for frequent in (0, 5):
            name = f"{source}-to-{target}-{classes[frequent].replace('_', '-')}"
            if arguments.only in name:
                known = draw(pool, classes, frequent)
                results.append(pair(arguments, name, family, source, known))
    print_pairs(results)


PARTS = {
    "pairs": pairs,
    "sources": sources,
    "harmful": harmful,
    "shift": shift,
    "shifted": shifted,
}

if __name__ == "__main__":
    main()
