"""The report as a whole: complete, self-contained, safe, and right in a real browser."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_study import finished_study, make_study, make_trial

from automl_xfer.report.write import write_report
from automl_xfer.study.records import FailureKind, StudyRecord, TrialRecord, TrialState

Study = tuple[StudyRecord, list[TrialRecord]]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NASTY = "<script>alert('x')</script> \"&amp; ünï 猫"


class _Page(HTMLParser):
    """Collects what a browser would fetch, and the tags that are open at the end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images_without_alt = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        named = dict(attributes)
        self.links += [named[key] for key in ("src", "href", "xlink:href") if key in named]
        self.images_without_alt += tag == "img" and not named.get("alt")


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_a_finished_study_has_every_section(study_and_trials: Study, tmp_path: Path) -> None:
    html = page(write_report(*study_and_trials, tmp_path / "new" / "report.html"))
    sections = re.findall(r'<section id="(\w+)">', html)
    assert sections == [
        "baselines",
        "test",
        "search",
        "leaderboard",
        "confusion",
        "mistakes",
        "data",
        "failures",
        "time",
        "reproduce",
    ]
    assert html.count("data:image/jpeg") == 9 + 14  # one mistake's image is gone
    assert "image not found" in html
    assert "1 trial far below the others is on the floor too" in html
    assert "--target ./data/cartoon" in html


def test_the_file_needs_nothing_else(study_and_trials: Study, tmp_path: Path) -> None:
    html = page(write_report(*study_and_trials, tmp_path / "report.html"))
    found = _Page(html)
    assert all(link.startswith(("#", "data:")) for link in found.links)
    assert "script" not in found.tags
    assert "url(" not in html and "@import" not in html
    assert found.images_without_alt == 0


def test_names_of_users_are_text_and_never_markup(study_and_trials: Study, tmp_path: Path) -> None:
    study, trials = study_and_trials
    result = dict(study.result or {})
    result["classes"] = [NASTY, *result["classes"][1:]]
    result["notes"] = [NASTY]
    result["mistakes"] = [
        {"image": f"/gone/{NASTY}\udcff.jpg", "label": NASTY, "predicted": NASTY, "confidence": 1}
    ]
    health = {
        "counts": [{"split": "train", "domain": NASTY, "label": NASTY, "images": 1}],
        "quarantined": [{"image": NASTY, "reason": NASTY}],
        "findings": [{"severity": NASTY, "code": NASTY, "message": NASTY, "images": [NASTY]}],
    }
    facts = {"sources": {NASTY: 3}, "thumbnails": {NASTY: [NASTY]}}
    failed = make_trial(
        99, state=TrialState.FAILED, failure_message=NASTY, traceback=NASTY, description=NASTY
    )
    study = replace(
        study, name=NASTY, result=result, health=health, facts=facts, options={"target": NASTY}
    )
    html = page(write_report(study, [*trials, failed], tmp_path / "report.html"))
    assert "<script" not in html.lower()
    assert "script" not in _Page(html).tags
    assert html.count("&lt;script&gt;") > 15
    assert "ünï 猫" in html


def test_rows_of_one_description_tell_what_differs(tmp_path: Path) -> None:
    trials = [
        make_trial(k, description="one", strategy={"alignment": {"name": "adabn", "mix": mix}})
        for k, mix in enumerate((0.5, 1.0))
    ]
    html = page(write_report(make_study(), trials, tmp_path / "report.html"))
    assert "<td>one (mix 0.5)</td>" in html and "<td>one (mix 1)</td>" in html


@pytest.mark.parametrize("count", [0, 1, 3, 12])
def test_an_unfinished_study_has_a_report(count: int, tmp_path: Path) -> None:
    trials = finished_study(tmp_path)[1][:count]
    html = page(write_report(make_study(), trials, tmp_path / "report.html"))
    assert 'id="baselines"' not in html and 'id="reproduce"' in html
    assert ("Too few trials to say" in html) == (0 < count < 8)


def test_a_study_in_which_all_failed_has_a_report(tmp_path: Path) -> None:
    trials = [
        make_trial(
            i,
            score=None,
            state=TrialState.FAILED,
            failure_kind=FailureKind.PLUGIN_ERROR,
            failure_message="dann needs a source",
            traceback="Traceback ...",
        )
        for i in range(3)
    ]
    html = page(write_report(make_study(phase="finished"), trials, tmp_path / "report.html"))
    assert "No strategy could be scored: 3 trials failed, most often by plugin-error." in html
    assert html.count("dann needs a source") == 3


def test_without_target_labels_nothing_is_called_a_gain(
    study_and_trials: Study, tmp_path: Path
) -> None:
    study, trials = study_and_trials
    result = dict(study.result or {})
    result["baselines"] = [b | {"gain": None, "gain_interval": None} for b in result["baselines"]]
    result["winner"] = result["winner"] | {"interval": [], "seed_scores": []}
    facts = study.facts | {"n_train": 0, "n_val": 0}
    study = replace(study, facts=facts, result=result)
    html = page(write_report(study, trials, tmp_path / "report.html"))
    assert "Without target labels, validators chose the winner out of 31 complete trials" in html
    assert "on the test split it scores 74.2\u00a0% (95\u00a0% interval 68.4 to 80.1)" in html
    assert html.count("not measurable") == 4
    assert "lignment did not help" not in html and "+0.1" not in html


def test_a_baseline_that_failed_and_one_that_won(study_and_trials: Study, tmp_path: Path) -> None:
    study, trials = study_and_trials
    result = dict(study.result or {})
    first, second = (dict(baseline) for baseline in result["baselines"][:2])
    first |= {"score": None, "failure": "out-of-memory", "gain": None, "gain_interval": None}
    second["trial"] = result["winner"]["trials"][0]
    result |= {"baselines": [first, second], "test": None}
    html = page(write_report(replace(study, result=result), trials, tmp_path / "report.html"))
    assert "not scored: out-of-memory" in html
    assert "this baseline" in html and "Nothing beat the linear-probe baseline" in html
    assert 'id="test"' not in html


def test_an_ensemble_is_told_member_by_member(study_and_trials: Study, tmp_path: Path) -> None:
    study, trials = study_and_trials
    assert study.result is not None
    members = ["0.60 x resnet18 · lp-ft", "0.40 x a + b · linear-probe"]
    winner = {**study.result["winner"], "kind": "ensemble", "members": members}
    study = replace(study, result={**study.result, "winner": winner})
    html = page(write_report(study, trials, tmp_path / "report.html"))
    assert all(f"<li><b>{member}</b></li>" in html for member in members)


def test_an_earlier_report_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(make_study(), [], path)
    assert page(path).startswith("<!doctype html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_the_report_imports_no_torch() -> None:
    code = "import sys, automl_xfer.report.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the report in")
def test_a_browser_shows_it_without_complaint(study_and_trials: Study, tmp_path: Path) -> None:
    path = write_report(*study_and_trials, tmp_path / "report.html")
    shown = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    # The page's security policy forbids every request: one that was tried is a console line.
    assert "CONSOLE" not in shown.stderr
    assert "Baselines against the winner" in shown.stdout
    assert shown.stdout.rstrip().endswith("</html>")
