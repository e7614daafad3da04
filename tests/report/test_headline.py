"""The first sentence is honest in every case."""

import pytest
from fake_study import make_study, make_trial

from automl_xfer.report.headline import alignment_sentence, headline
from automl_xfer.report.wording import ScoreWording, duration, plural, score_wording, verdict
from automl_xfer.study.records import FailureKind, TrialState

PERCENT = ScoreWording(percent=True)


def result(gain_interval: list[float] | None, winner_trials: list[int] | None = None) -> dict:
    return {
        "winner": {
            "kind": "single",
            "trials": winner_trials or [1],
            "description": "resnet18 · lp-ft",
            "score": 0.76,
            "interval": [0.71, 0.80],
            "seed_scores": [0.76],
        },
        "baselines": [
            {"name": "from-scratch", "trial": 3, "score": 0.2, "failure": None}
            | {"gain": 0.56, "gain_interval": [0.4, 0.7]},
            {"name": "linear-probe", "trial": 2, "score": 0.709, "failure": None}
            | {"gain": 0.051, "gain_interval": gain_interval},
        ],
    }


@pytest.mark.parametrize(
    ("gain_interval", "words", "tone"),
    [
        ([0.02, 0.083], "beats the best baseline, linear-probe (70.9 %): +5.1 points", "better"),
        ([-0.011, 0.083], "which cannot be told apart from the best baseline", "even"),
        ([-0.08, -0.01], "which is worse than the best baseline", "worse"),
        (None, "with no interval to hold it against", "even"),
    ],
)
def test_winner_against_the_strongest_baseline(gain_interval, words: str, tone: str) -> None:
    made = headline(make_study(result=result(gain_interval)), [], PERCENT)
    sentence = made.sentence.replace("\u00a0", " ")
    assert sentence.startswith("The winner scores 76.0 % (95 % interval 71.0 to 80.0)")
    assert words in sentence
    assert made.tone == tone
    assert made.strategy == "resnet18 · lp-ft"


def test_a_baseline_that_wins_is_called_one() -> None:
    made = headline(make_study(result=result([0.0, 0.0], winner_trials=[2])), [], PERCENT)
    assert made.sentence.startswith("Nothing beat the linear-probe baseline")


def test_a_baseline_that_wins_by_its_repeats_is_not_said_to_beat_all() -> None:
    made = headline(make_study(result=result([0.1, 0.3], winner_trials=[3])), [], PERCENT)
    sentence = made.sentence.replace("\u00a0", " ")
    assert sentence.startswith("The from-scratch baseline itself wins with 76.0 %")
    assert sentence.endswith("linear-probe (70.9 %) was ahead in the search alone.")


def test_unfinished_failed_and_empty_studies() -> None:
    study = make_study()
    failed = [
        make_trial(i, score=None, state=TrialState.FAILED, failure_kind=FailureKind.CRASH)
        for i in range(3)
    ]
    assert headline(study, [], PERCENT).sentence == "This study has no finished trial yet."
    assert headline(study, failed, PERCENT).sentence == (
        "No strategy could be scored: 3 trials failed, most often by crash."
    )
    made = headline(study, [*failed, make_trial(7, score=0.5)], PERCENT)
    assert "best of 1 complete trial so far scores 50.0\u00a0%" in made.sentence


def test_alignment_that_did_not_help_is_said_so() -> None:
    plain = make_trial(1, score=0.8, strategy={"alignment": {"name": "none"}})
    coral = make_trial(2, score=0.7, strategy={"alignment": {"name": "coral"}})
    said = alignment_sentence(make_study(), [plain, coral], PERCENT)
    assert said is not None
    assert said.replace("\u00a0", " ") == (
        "Alignment did not help: 70.0 % at best with it (coral), 80.0 % at best without."
    )
    better = make_trial(3, score=0.9, strategy={"alignment": {"name": "dann"}})
    used = alignment_sentence(make_study(), [plain, coral, better], PERCENT)
    assert used is not None and used.startswith("The best strategy uses alignment")
    even = make_trial(5, score=0.8, strategy={"alignment": {"name": "coral"}})
    won = make_study(result=result([0.0, 0.1], winner_trials=[5, 1]))
    said = alignment_sentence(won, [plain, even], PERCENT)
    assert said is not None and said.startswith("The winner uses alignment, which by itself scored")
    assert alignment_sentence(make_study(), [plain], PERCENT) is None
    joint = make_trial(4, score=0.9, strategy={"alignment": {"name": "joint"}})
    assert alignment_sentence(make_study(), [plain, joint], PERCENT) is None  # it aligns nothing


def test_verdicts_are_plain_words() -> None:
    assert verdict([0.01, 0.02]) == "better"
    assert verdict([0.0, 0.02]) == "no clear difference"
    assert verdict([-0.02, -0.01]) == "worse"
    assert verdict([float("nan"), 0.1]) == verdict(None) == "no interval"


def test_scores_without_target_labels_are_no_percentages() -> None:
    labelled, unlabelled = make_study(), make_study(facts={"n_train": 0, "n_unlabelled": 9})
    assert score_wording(labelled, [make_trial(1, score=0.5)]).score(0.5) == "50.0\u00a0%"
    assert score_wording(unlabelled, [make_trial(1, score=0.5)]).score(0.5) == "0.500"
    assert score_wording(labelled, [make_trial(1, score=-3.0)]).gain(-0.25) == "−0.250"


def test_durations_and_counts() -> None:
    assert [duration(s) for s in (0, 1.25, 59.6, 3599, 7384)] == [
        "0 s",
        "1.2 s",
        "1 min 0 s",
        "59 min 59 s",
        "2 h 3 min",
    ]
    assert [plural(1, "trial"), plural(1200, "class")] == ["1 trial", "1,200 classes"]
