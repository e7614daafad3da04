"""The study database: studies and trials, each call one short transaction."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, CursorResult, Table, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from automl_xfer.errors import StudyError
from automl_xfer.study.address import masked
from automl_xfer.study.failures import storage_errors
from automl_xfer.study.migrations import migrate
from automl_xfer.study.optuna_trials import OptunaTrials
from automl_xfer.study.records import (
    FailureKind,
    Role,
    StudyRecord,
    StudyResult,
    TrialRecord,
    TrialState,
)
from automl_xfer.study.storage import ResilientStorage, open_engine, open_optuna_storage
from automl_xfer.study.tables import NAME_LENGTH, Base
from automl_xfer.study.workers import current_worker, is_alive

__all__ = ["StudyStore", "check_study_name", "current_worker"]

UNSEEN_SECONDS = 3600.0
_STUDY: Table = Base.metadata.tables["xfer_study"]
_TRIAL: Table = Base.metadata.tables["xfer_trial"]


def check_study_name(name: str) -> None:
    """Raise StudyError unless `name` can name a study and its folder."""
    if len(name) > NAME_LENGTH or not re.fullmatch(r"\w[\w.-]*", name):
        raise StudyError(
            f"{name!r} cannot name a study; use up to {NAME_LENGTH} letters, digits, '-', '_' "
            "and '.', beginning with a letter or digit"
        )


class StudyStore:
    """Studies and trials in the database behind a normalised URL.

    Any number of processes and threads may use one database at once. Whatever the database does
    wrong is a StorageError.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.trial_writes = 0  # so often this object added or changed a trial
        self._engine = open_engine(url)
        with storage_errors(url):
            migrate(self._engine)

    def close(self) -> None:
        """Close every connection; the next call opens a new one."""
        self._engine.dispose()
        if "_optuna" in self.__dict__:
            self._optuna.engine.dispose()

    def create_study(self, record: StudyRecord) -> None:
        """Add a study; StudyError if the name is taken."""
        check_study_name(record.name)
        try:
            with self._transaction() as connection:
                connection.execute(insert(_STUDY).values(_columns(record)))
        except IntegrityError as error:
            raise StudyError(
                f"a study called {record.name!r} exists in {masked(self.url)}; "
                "go on with it, or choose another name with --study"
            ) from error

    def get_study(self, name: str) -> StudyRecord:
        """The study called `name`; StudyError that offers the names there are."""
        with self._transaction() as connection:
            row = connection.execute(select(_STUDY).where(_STUDY.c.name == name)).mappings().first()
        if row is None:
            raise self._no_such_study(name)
        return StudyRecord(**row)

    def study_exists(self, name: str) -> bool:
        """Whether a study is called `name`."""
        with self._transaction() as connection:
            found = connection.execute(select(_STUDY.c.name).where(_STUDY.c.name == name))
            return found.first() is not None

    def list_studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        with self._transaction() as connection:
            query = select(_STUDY).order_by(_STUDY.c.created, _STUDY.c.name)
            return [StudyRecord(**row) for row in connection.execute(query).mappings()]

    def update_study(
        self,
        name: str,
        *,
        phase: str | None = None,
        result: StudyResult | None = None,
        facts: dict[str, Any] | None = None,
        add_seconds: float = 0.0,
    ) -> None:
        """Change what is given; `add_seconds` is added to the time spent, whoever else adds."""
        given = {"phase": phase, "result": result, "facts": facts}
        values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        values["seconds_spent"] = _STUDY.c.seconds_spent + add_seconds
        with self._transaction() as connection:
            changed = connection.execute(
                update(_STUDY).where(_STUDY.c.name == name).values(values)
            ).rowcount
        if not changed:
            raise self._no_such_study(name)

    def delete_study(self, name: str) -> None:
        """Remove the study and its trials from our tables and from Optuna's."""
        self.get_study(name)
        with storage_errors(self.url):
            OptunaTrials(self._optuna, name).delete()
        with self._transaction() as connection:
            connection.execute(delete(_TRIAL).where(_TRIAL.c.study == name))
            connection.execute(delete(_STUDY).where(_STUDY.c.name == name))

    def add_trial(self, record: TrialRecord) -> TrialRecord:
        """Add a trial; the answer carries its new id (the one given is not looked at)."""
        values = _columns(record)
        del values["id"]
        self.trial_writes += 1
        try:
            with self._transaction() as connection:
                row = connection.execute(insert(_TRIAL).values(values).returning(_TRIAL.c.id))
                return replace(record, id=row.scalar_one())
        except IntegrityError as error:
            if not self.study_exists(record.study):
                raise self._no_such_study(record.study) from error
            raise StudyError(
                f"trial {record.number} of study {record.study!r} is already recorded"
            ) from error

    def update_trial(self, record: TrialRecord) -> None:
        """Replace the trial that has the record's id."""
        self.trial_writes += 1
        with self._transaction() as connection:
            changed = _replace_trial(connection, record).rowcount
        if not changed:
            raise StudyError(f"study {record.study!r} has no trial with id {record.id}")

    def trials(self, study: str, role: Role | None = None) -> list[TrialRecord]:
        """The study's trials, of one role or all, by id."""
        query = select(_TRIAL).where(_TRIAL.c.study == study).order_by(_TRIAL.c.id)
        if role is not None:
            query = query.where(_TRIAL.c.role == role)
        with self._transaction() as connection:
            return [TrialRecord(**row) for row in connection.execute(query).mappings()]

    def trials_since(
        self, study: str, last: int, also: Collection[int], but: Collection[int]
    ) -> list[TrialRecord]:
        """By id, the study's trials with a larger id than `last`, and `also` these, `but` those."""
        news = and_(_TRIAL.c.id > last, _TRIAL.c.id.not_in(but))
        wanted = or_(news, _TRIAL.c.id.in_(also))
        query = select(_TRIAL).where(_TRIAL.c.study == study, wanted).order_by(_TRIAL.c.id)
        with self._transaction() as connection:
            return [TrialRecord(**row) for row in connection.execute(query).mappings()]

    def mark_interrupted(
        self, study: str, *, unseen_seconds: float = UNSEEN_SECONDS
    ) -> list[TrialRecord]:
        """Record as interrupted the trials whose worker is gone, and return them.

        Gone is a process of this host that no longer runs, or one of another host whose
        heartbeat stopped; without any heartbeat, one that began more than `unseen_seconds` ago.
        Of several processes that ask at once each gets the trials that it marked itself.
        """
        running = [trial for trial in self.trials(study) if trial.state is TrialState.RUNNING]
        recorded = {trial.number for trial in running if trial.number is not None}
        with storage_errors(self.url):
            optuna_trials = OptunaTrials(self._optuna, study)
            lost = optuna_trials.lost(recorded, unseen_seconds)
            marked = [
                ended
                for trial in running
                if _is_gone(trial, lost, unseen_seconds) and (ended := self._interrupt(trial))
            ]
            optuna_trials.fail({trial.number for trial in marked if trial.number is not None})
        return marked

    def _interrupt(self, trial: TrialRecord) -> TrialRecord | None:
        """The trial as it is now recorded; None if it ended in another way meanwhile."""
        ended = replace(
            trial,
            state=TrialState.FAILED,
            failure_kind=FailureKind.INTERRUPTED,
            failure_message=f"the process that ran it ({trial.worker}) ended before the trial did",
            finished=datetime.now(UTC),
        )
        self.trial_writes += 1
        with self._transaction() as connection:
            changed = _replace_trial(connection, ended, only_if=TrialState.RUNNING).rowcount
        return ended if changed else None

    @cached_property
    def _optuna(self) -> ResilientStorage:
        return open_optuna_storage(self.url)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with storage_errors(self.url), self._engine.begin() as connection:
            yield connection

    def _no_such_study(self, name: str) -> StudyError:
        names = [study.name for study in self.list_studies()]
        near = get_close_matches(name, names, n=3) or names[-5:]
        hint = f"there is {', '.join(near)}" if near else "there is none yet"
        return StudyError(f"no study is called {name!r} in {masked(self.url)}; {hint}")


def _is_gone(trial: TrialRecord, lost: set[int], unseen_seconds: float) -> bool:
    alive = is_alive(trial.worker)
    if alive is not None:
        return not alive
    if trial.number is not None:
        return trial.number in lost
    if trial.started is None:
        return False
    return (datetime.now(UTC) - trial.started).total_seconds() > unseen_seconds


def _columns(record: StudyRecord | TrialRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _replace_trial(
    connection: Connection, record: TrialRecord, only_if: TrialState | None = None
) -> CursorResult[Any]:
    query = update(_TRIAL).where(_TRIAL.c.id == record.id).values(_columns(record))
    if only_if is not None:
        query = query.where(_TRIAL.c.state == only_if)
    return connection.execute(query)
