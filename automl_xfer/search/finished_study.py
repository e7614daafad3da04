"""FinishedStudy: what `automl_xfer.search()` returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from automl_xfer.bundle import Bundle, Prediction, load_bundle
from automl_xfer.errors import StudyError
from automl_xfer.plugin.source import PluginSource
from automl_xfer.report.leaderboard import leaders
from automl_xfer.search.options import SearchOptions
from automl_xfer.study.address import normalise_url
from automl_xfer.study.records import StudyRecord, StudyResult, TrialRecord
from automl_xfer.study.store import StudyStore


@dataclass(frozen=True)
class FinishedStudy:
    """A study with its trials, its winner and its bundle."""

    record: StudyRecord
    options: SearchOptions

    @property
    def result(self) -> StudyResult:
        """Winner, baselines, intervals, test scores and notes."""
        if self.record.result is None:
            raise StudyError(f"study {self.record.name!r} has no result yet; go on searching")
        return self.record.result

    @property
    def best(self) -> TrialRecord:
        """The first trial of the winner."""
        winner = self.result["winner"]["trials"][0]
        return next(trial for trial in self.trials if trial.id == winner)

    @property
    def trials(self) -> list[TrialRecord]:
        """Every trial, failures included, in the order they were run."""
        url = normalise_url(self.options.storage, Path(self.options.studies_dir))
        return StudyStore(url).trials(self.record.name)

    def leaderboard(self) -> list[TrialRecord]:
        """Complete trials, best first."""
        return leaders(self.trials)

    @cached_property
    def bundle(self) -> Bundle:
        """The trained model."""
        folder = self.options.plugins_dir
        plugins = PluginSource(Path(folder) if folder else None, self.options.disabled_plugins)
        directory = self.options.directory / "bundle"
        return load_bundle(directory, device=self.options.device, plugins=plugins)

    def predict(self, paths: Sequence[Path | str]) -> list[Prediction]:
        """One prediction per image, in order; an unreadable image has no label."""
        return list(self.bundle.predict(paths))
