"""Watch: what a running trial is told after each fold or epoch."""

from collections.abc import Callable

from automl_xfer.evaluation.metrics import log_scores
from automl_xfer.search.finalist import given_to_labels
from automl_xfer.search.judging import best_trial
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.pruning import ImageScores, is_hopeless
from automl_xfer.search.session import Session
from automl_xfer.search.trial import TrialStep
from automl_xfer.study.records import Role, TrialRecord


class Watch:
    """Answers a child after each fold or epoch: report the score, prune what is hopeless.

    Folds are held against the best trial's, image by image; early epochs against what others had
    reached by then (successive halving), and never against what they reached at their end.
    """

    def __init__(
        self, session: Session, record: TrialRecord, report: Callable[[TrialStep], bool]
    ) -> None:
        self.report = report
        self.scores: list[float] = []
        self.images = ImageScores()
        self.best: ImageScores | None = None
        comparable = session.has_target_labels and session.plan.metric == "accuracy"
        self.may_be_pruned = record.role in (Role.PORTFOLIO, Role.SEARCH)
        best = best_trial(session) if comparable and self.may_be_pruned else None
        if best:
            self.best = images_of(session, best)

    def answer(self, step: TrialStep) -> bool:
        """Whether the child should stop."""
        self.scores[step.step :] = [step.score]  # a training may begin anew
        if not step.whole:
            return self.report(step) and self.may_be_pruned
        self.images.add(step.rows, step.correct, step.log_scores)
        return self.best is not None and is_hopeless(self.images, self.best)

    def answered(self, step: TrialStep) -> None:
        """Report a fold while the child is at the next one: writing takes a while."""
        if step.whole:
            self.report(step)


def images_of(session: Session, trial: TrialRecord) -> ImageScores:
    """What a finished trial with target labels made of each image."""
    predictions, labels = read_predictions(session, trial), session.prepared.data.target.labels  # type: ignore[union-attr]
    assert labels is not None
    rows, found = predictions.rows, ImageScores()
    correct = predictions.probabilities.argmax(1) == labels[rows]
    found.add(rows, correct, log_scores(given_to_labels(session, trial)[rows]))
    return found
