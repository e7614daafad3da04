"""How seconds and memory of a search grow with the images and with the trials.

    python studies/benchmarks/scaling.py --shared ../shared

Images: searches of 100, 1,000 and 10,000 labelled target images (random crops of the PACS images
of ../shared/data, 112 pixels), one backbone at 64 pixels, frozen strategies, a fixed number of
trials. Prints the seconds of each phase and the peak memory of the largest process, and for each
phase the power of the images that its seconds grow with (1 is linear), from the last tenfold step.
The baselines that train get a share of the time limit, whatever the number of images: their
seconds (the phase baselines) say nothing of growth.

Trials: searches of 10, 100 and 1,000 trials on the 100 images, all backbones of ../shared/weights
and pairs of them, so that a thousand different strategies are only a part of what there is. The
table says how many were run.
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
from PIL import Image

from automl_xfer.study.store import StudyStore

IMAGES, TRIALS = (100, 1000, 10000), (10, 100, 1000)
LIMITS = {"images": "6m", "trials": "40m"}
BACKBONES = {"images": ("--backbone", "mobilenetv1_100.in1k"), "trials": ()}
PIXELS, DOMAINS = 112, ("photo", "art_painting", "cartoon")


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("images", "trials"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--keep", type=Path, help="folder for the studies (default: temporary)")
    arguments = parser.parse_args()
    if not (arguments.shared / "data").is_dir():
        sys.exit(f"no folder {arguments.shared / 'data'}: give --shared")
    keep = arguments.keep or Path(tempfile.mkdtemp())
    runs = {}
    if arguments.part == "images":
        for n in IMAGES:
            write_images(arguments.shared / "data" / "pacs", keep / f"{n}", n)
            runs[n] = search(arguments, keep, f"{n}", 8, f"images-{n}")
    else:
        write_images(arguments.shared / "data" / "pacs", keep / "100", 100)
        for n in TRIALS:
            runs[n] = search(arguments, keep, "100", n, f"trials-{n}")
    print_table(arguments.part, runs)
    if arguments.part == "trials":
        print_hundreds(keep, f"trials-{max(TRIALS)}")


def write_images(data: Path, folder: Path, n: int) -> None:
    """Class folders of n random crops, as many of each class."""
    generator = random.Random(0)
    found = [path for name in DOMAINS for path in sorted((data / name).glob("*/*"))]
    by_class: dict[str, list[Path]] = {}
    for path in found:
        by_class.setdefault(path.parent.name, []).append(path)
    for number in range(n):
        name = sorted(by_class)[number % len(by_class)]
        place = folder / name / f"{number}.jpg"
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(generator.choice(by_class[name])).convert("RGB")
        side = int(min(image.size) * generator.uniform(0.6, 1))
        left, top = (generator.randint(0, length - side) for length in image.size)
        image.crop((left, top, left + side, top + side)).resize((PIXELS, PIXELS)).save(place)


def search(
    arguments: argparse.Namespace, keep: Path, target: str, trials: int, study: str
) -> dict[str, float]:
    """Seconds by phase, and the peak memory in MB of the largest process."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "automl_xfer", "search", "--target", target, "--json"),
            *("--study", study, "--trials", str(trials), "--time-limit", LIMITS[arguments.part]),
            *("--freezing", "linear-probe", "--image-size", "64", *BACKBONES[arguments.part]),
            *("--weights-dir", str((arguments.shared / "weights").resolve())),
        ],
        cwd=keep,
        stdout=subprocess.PIPE,
        stderr=(keep / f"{study}.log").open("w"),
    )
    peaks: list[float] = [0.0]
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(process.pid, peaks, ended))
    watcher.start()
    told, _ = process.communicate()
    ended.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"the search failed: see {keep / f'{study}.log'}")
    store = StudyStore(f"sqlite:///{keep / 'studies' / 'studies.db'}")
    ran = sum(trial.repeats is None for trial in store.trials(study))
    found = {**json.loads(told)["seconds"], "memory": max(peaks), "trials": ran}
    print(study, json.dumps(found), flush=True)
    return found


def watch(pid: int, peaks: list[float], ended: threading.Event) -> None:
    """Note the resident memory of the process and of each child, four times a second."""
    while not ended.wait(0.25):
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
            peaks.append(max(each.memory_info().rss for each in family) / 2**20)
        except psutil.NoSuchProcess:
            continue


def print_table(part: str, runs: dict[int, dict[str, float]]) -> None:
    """A row for each phase; the power of the last tenfold step."""
    *_, before, last = runs
    titles = " | ".join(f"{n:,} {part}" for n in runs)
    print(f"\n| seconds | {titles} | power |\n| --- |{' --- |' * len(runs)} --- |")
    for name in runs[last]:
        values = [run.get(name, 0.0) for run in runs.values()]
        small, large = runs[before].get(name, 0.0), runs[last][name]
        power = f"{math.log10(large / small):.2f}" if min(small, large) >= 0.5 else ""
        cells = " | ".join(f"{value:.1f}" for value in values)
        title = {"memory": "memory, MB", "trials": "trials run"}.get(name, name)
        print(f"| {title} | {cells} | {power} |")


def print_hundreds(keep: Path, study: str) -> None:
    """Seconds of one hundred trials of the search after another, and those of their own work."""
    store = StudyStore(f"sqlite:///{keep / 'studies' / 'studies.db'}")
    ended = [
        trial
        for trial in store.trials(study)
        if trial.number is not None and trial.started and trial.finished
    ]
    print("\n| from trial | seconds | fitting and predicting | the rest |\n|" + " --- |" * 4)
    for start in range(0, len(ended) - 99, 100):
        trials = ended[start : start + 100]
        whole = (trials[-1].finished - trials[0].started).total_seconds()
        work = sum(t.timings.get("fit", 0.0) + t.timings.get("predict", 0.0) for t in trials)
        print(f"| {start} | {whole:.1f} | {work:.1f} | {whole - work:.1f} |")


if __name__ == "__main__":
    main()
