"""Make the pictures of README from a study that was really run.

    python docs/pictures/make.py studies demo

`live.svg` is the live view fed with the study's own trials, as it stood near their end;
`report.png` is the top of its report in headless Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console

from automl_xfer.cli.live import LiveView
from automl_xfer.report.leaderboard import leaders
from automl_xfer.search.events import PhaseStarted, TrialFinished, TrialStarted
from automl_xfer.study.store import StudyStore

HERE = Path(__file__).parent


def main(studies: Path, name: str) -> None:
    """Write both pictures beside this file."""
    store = StudyStore(f"sqlite:///{studies.resolve() / 'studies.db'}")
    trials = [trial for trial in store.trials(name) if trial.repeats is None]
    study = store.get_study(name)
    console = Console(record=True, force_terminal=True, width=112, file=StringIO())
    view = LiveView(console, deadline_seconds=float(study.options["time_limit"]))
    assert study.result is not None
    view(PhaseStarted("search", study.result["signal"]))
    interval = study.result["winner"]["interval"]
    for place, trial in enumerate(trials[:-1], start=1):
        best = leaders(trials[:place], 1)
        low_high = (interval[0], interval[1]) if interval else None
        view(TrialFinished(trial, best[0] if best else None, low_high))
    view(TrialStarted(trials[-1].number, trials[-1].description))
    console.print(view.render())
    command = f"automl-xfer search --study {name}"
    console.save_svg(str(HERE / "live.svg"), title=command)
    screenshot(studies / name / "report.html", HERE / "report.png")


def screenshot(page: Path, picture: Path) -> None:
    """The top of a page."""
    browser = shutil.which("chromium") or sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-background-networking", f"--user-data-dir={profile}"),
                *(f"--screenshot={picture}", "--window-size=1000,1180", page.resolve().as_uri()),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
