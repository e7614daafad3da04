"""Our tables, beside Optuna's in one database. Columns are named like the records' fields."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from automl_xfer.study.plain import Finite, NamedScores, PlainJson, PlainText, Scores, Utc, Whole
from automl_xfer.study.records import FailureKind, Role, TrialState

NAME_LENGTH = 100


def _word(kind: type[StrEnum]) -> Enum:
    """A column that holds the enum's value as text: a new member needs no migration."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    """Root of our tables."""


class SchemaRow(Base):
    """The version of these tables; one row."""

    __tablename__ = "xfer_schema"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    version: Mapped[int]


class StudyRow(Base):
    """One StudyRecord."""

    __tablename__ = "xfer_study"

    name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    created: Mapped[datetime] = mapped_column(Utc)
    seed: Mapped[int] = mapped_column(Whole)
    metric: Mapped[str] = mapped_column(PlainText)
    options: Mapped[dict[str, Any]] = mapped_column(PlainJson)
    facts: Mapped[dict[str, Any]] = mapped_column(PlainJson)
    manifest_hash: Mapped[str] = mapped_column(PlainText)
    catalog: Mapped[dict[str, Any]] = mapped_column(PlainJson)
    health: Mapped[dict[str, Any]] = mapped_column(PlainJson)
    version: Mapped[str] = mapped_column(PlainText)
    phase: Mapped[str] = mapped_column(PlainText)
    result: Mapped[dict[str, Any] | None] = mapped_column(PlainJson)
    seconds_spent: Mapped[float] = mapped_column(Finite)


class TrialRow(Base):
    """One TrialRecord."""

    __tablename__ = "xfer_trial"
    __table_args__ = (
        UniqueConstraint("study", "number", name="xfer_trial_number"),
        Index("xfer_trial_study", "study", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study: Mapped[str] = mapped_column(ForeignKey("xfer_study.name", ondelete="CASCADE"))
    number: Mapped[int | None] = mapped_column(Whole)
    role: Mapped[Role] = mapped_column(_word(Role))
    strategy: Mapped[dict[str, Any]] = mapped_column(PlainJson)
    description: Mapped[str] = mapped_column(PlainText)
    state: Mapped[TrialState] = mapped_column(_word(TrialState))
    seed: Mapped[int] = mapped_column(Whole)
    baseline: Mapped[str | None] = mapped_column(PlainText)
    repeats: Mapped[int | None] = mapped_column(Whole)
    score: Mapped[float | None] = mapped_column(Finite)
    complexity: Mapped[int] = mapped_column(Whole)
    steps: Mapped[tuple[float, ...]] = mapped_column(Scores)
    metrics: Mapped[dict[str, float]] = mapped_column(NamedScores)
    timings: Mapped[dict[str, float]] = mapped_column(NamedScores)
    device: Mapped[str] = mapped_column(PlainText)
    peak_memory_mb: Mapped[float | None] = mapped_column(Finite)
    failure_kind: Mapped[FailureKind | None] = mapped_column(_word(FailureKind))
    failure_message: Mapped[str | None] = mapped_column(PlainText)
    traceback: Mapped[str | None] = mapped_column(PlainText)
    predictions_path: Mapped[str | None] = mapped_column(PlainText)
    worker: Mapped[str] = mapped_column(PlainText)
    started: Mapped[datetime | None] = mapped_column(Utc)
    finished: Mapped[datetime | None] = mapped_column(Utc)
