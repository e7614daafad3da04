"""The whole road on small real images: search, bundle, report, resume."""

import json
from dataclasses import replace

import pytest
from filelock import FileLock

from automl_xfer.bundle import load_bundle
from automl_xfer.cli.predict import bundle_directory
from automl_xfer.errors import CatalogChangedError, ConfigError, StudyError
from automl_xfer.search.run import run_search
from automl_xfer.study.records import FORESEEN, FailureKind, Role, TrialState
from automl_xfer.study.store import StudyStore

BY_OTHER = {"notes": ["by the other"]}


def store_of(options):
    return StudyStore(f"sqlite:///{options.studies_dir}/studies.db")


def test_a_labelled_folder_becomes_a_model_and_goes_on(options, labelled):
    events = []
    record = run_search(options, events.append)
    result = record.result
    assert record.phase == "finished"
    assert {baseline["name"] for baseline in result["baselines"]} == {
        "linear-probe",
        "full-fine-tuning",
        "from-scratch",
    }
    assert 0.9 < result["winner"]["score"] <= 1.0
    first, *others = store_of(options).trials("s")
    assert first.timings[FORESEEN] > 0  # it reads the features, which others then find
    for trial in others:
        trained = trial.strategy["optimization"]["name"] != "closed-form"
        assert not trained or trial.timings[FORESEEN] > 0
    bundle = load_bundle(options.directory / "bundle", device="cpu")
    paths = sorted((labelled / "left").iterdir()) + sorted((labelled / "top").iterdir())
    predictions = list(bundle.predict(paths))
    right = sum(p.label == path.parent.name for p, path in zip(predictions, paths, strict=True))
    assert right >= 19
    assert (options.directory / "bundle" / "MODEL_CARD.md").read_text().startswith("# s\n")
    assert "<html" in (options.directory / "report.html").read_text()

    moved = options.directory.parent.with_name("moved")
    options.directory.parent.rename(moved)  # nothing in a study depends on where it lies
    options = replace(options, studies_dir=str(moved))
    assert bundle_directory("s", None, moved) == moved / "s" / "bundle"
    before = [trial for trial in store_of(options).trials("s") if trial.repeats is None]
    again = run_search(replace(options, trials=2))
    after = [trial for trial in store_of(options).trials("s") if trial.repeats is None]
    assert [trial.id for trial in after[: len(before)]] == [trial.id for trial in before]
    assert len(after) == len(before) + 2
    assert again.seconds_spent > record.seconds_spent

    with pytest.raises(StudyError, match="another metric"):
        run_search(replace(options, metric="macro-f1"))
    with pytest.raises(CatalogChangedError, match="restore those plugins"):
        run_search(replace(options, plugins_dir=str(_plugin(options, "extra-none"))))


def _plugin(options, name):
    folder = options.directory.parent / "plugins"
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from automl_xfer import hookimpl\n"
        "from automl_xfer.components import Regularizer\n"
        "@dataclass(frozen=True)\n"
        "class Extra(Regularizer):\n"
        f"    name = '{name}'\n"
        "    def build(self, backbone, head, labelled):\n"
        "        raise ValueError('my plugin is broken')\n"
        "@hookimpl\n"
        "def register_regularizers():\n"
        "    return [Extra]\n"
    )
    return folder


def test_a_broken_plugin_costs_its_trials_and_is_taken_out(options):
    options.directory.parent.mkdir(parents=True)
    folder = _plugin(options, "broken")
    choices = {
        "freezing": ("full",),
        "regularizer": ("broken", "none"),
        "optimization": ("adamw",),
        "augmentation": ("none",),
    }
    notes = []
    record = run_search(
        replace(options, plugins_dir=str(folder), choices=choices, trials=12, seed=1),
        lambda event: notes.append(getattr(event, "message", "")),
    )
    trials = store_of(options).trials("s")
    broken = [t for t in trials if t.strategy["regularizer"]["name"] == "broken"]
    assert 1 <= len(broken) <= 3
    assert {t.failure_kind for t in broken} == {FailureKind.PLUGIN_ERROR}
    assert all("my plugin is broken" in t.traceback for t in broken)
    assert record.result["winner"]["score"] > 0.5
    if len(broken) == 3:
        assert any("regularizer broken failed 3 times" in note for note in notes)


def test_a_request_to_stop_still_ends_in_a_bundle(options):
    finished = []

    def listen(event):
        finished.append(type(event).__name__ == "TrialFinished")

    record = run_search(replace(options, trials=50), listen, lambda: sum(finished) >= 2)
    trials = store_of(options).trials("s")
    assert record.phase == "finished"
    assert len([t for t in trials if t.state is TrialState.COMPLETE]) == 2
    assert load_bundle(options.directory / "bundle", device="cpu").classes == ("left", "top")


def test_two_processes_do_not_end_a_study_at_once(options):
    run_search(replace(options, trials=1))
    before = (options.directory / "bundle" / "bundle.json").read_bytes()
    other = FileLock(options.directory / "ending.lock")
    other.acquire()

    def listen(event):
        if "another process is ending" in getattr(event, "message", ""):
            store_of(options).update_study("s", phase="finished", result=BY_OTHER)
            other.release()

    record = run_search(replace(options, trials=1), listen)
    assert record.result == BY_OTHER
    assert (options.directory / "bundle" / "bundle.json").read_bytes() == before


def test_baselines_run_even_where_the_choices_leave_them_out(options):
    record = run_search(replace(options, choices={"freezing": ("linear-probe",)}, trials=1))
    trials = store_of(options).trials("s", Role.BASELINE)
    assert {trial.baseline for trial in trials} == {
        "linear-probe",
        "full-fine-tuning",
        "from-scratch",
    }
    assert record.result is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "auc"}, "--metric must be one of"),
        ({"weights_dir": "nowhere"}, "--weights-dir nowhere is not a folder"),
        ({"time_limit": 1.0}, "at least 10 seconds"),
        ({"trials": 0}, "at least 1"),
        ({"study": "../up"}, "--study must be"),
        ({"image_size": 5}, "between 16 and 1024"),
    ],
)
def test_bad_options_are_one_sentence(options, change, words):
    with pytest.raises(ConfigError, match=words):
        run_search(replace(options, **change))


def test_a_plain_file_name_is_a_database(options, monkeypatch):
    monkeypatch.chdir(options.directory.parent.parent)
    run_search(replace(options, storage="results.db", trials=1))
    assert StudyStore("sqlite:///results.db").get_study("s").options["storage"] == "results.db"


def test_what_is_drawn_and_not_run_leaves_no_trial(options):
    names = {"freezing": "linear-probe", "head": "logistic-regression", "alignment": "none"}
    choices = {axis: (name,) for axis, name in names.items()}
    run_search(replace(options, choices=choices, trials=12))  # of the 12 that there are
    ran = [trial for trial in store_of(options).trials("s") if trial.repeats is None]
    assert len({json.dumps(t.strategy, sort_keys=True) for t in ran}) == len(ran)
    numbers = sorted(trial.number for trial in ran if trial.number is not None)
    assert numbers == [*range(12)]


def test_no_strategy_is_trained_twice(options):
    names = {"freezing": "linear-probe", "head": "nearest-class-mean", "alignment": "none"}
    choices = {axis: (name,) for axis, name in names.items()}
    run_search(replace(options, choices=choices, trials=40, time_limit=40.0))
    trials = [t for t in store_of(options).trials("s") if t.repeats is None]
    assert len({json.dumps(t.strategy, sort_keys=True) for t in trials}) == len(trials) < 40
