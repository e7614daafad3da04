"""Watch: what a running trial is told after each fold or epoch."""

from collections.abc import Callable

from automl_xfer.search.judging import best_trial
from automl_xfer.search.predictions import read_predictions
from automl_xfer.search.pruning import CorrectImages, correct_images, is_hopeless
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
        self.correct = CorrectImages()
        self.best: CorrectImages | None = None
        comparable = session.has_target_labels and session.plan.metric == "accuracy"
        self.may_be_pruned = record.role in (Role.PORTFOLIO, Role.SEARCH)
        best = best_trial(session) if comparable and self.may_be_pruned else None
        if best:
            predictions = read_predictions(session, best)
            labels = session.prepared.data.target.labels  # type: ignore[union-attr]
            assert labels is not None
            right = predictions.probabilities.argmax(1) == labels[predictions.rows]
            self.best = correct_images(predictions.rows, right)

    def answer(self, step: TrialStep) -> bool:
        """Whether the child should stop."""
        self.scores[step.step :] = [step.score]  # a training may begin anew
        if not step.whole:
            return self.report(step) and self.may_be_pruned
        self.correct.add(step)
        return self.best is not None and is_hopeless(self.correct, self.best)

    def answered(self, step: TrialStep) -> None:
        """Report a fold while the child is at the next one: writing takes a while."""
        if step.whole:
            self.report(step)
