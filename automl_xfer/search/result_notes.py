"""Sentences that stand beside a result: what was left out, what the numbers do not say."""

from automl_xfer.search.judging import source_only
from automl_xfer.search.latency import within_limit
from automl_xfer.search.session import Session
from automl_xfer.search.student import is_student
from automl_xfer.search.winner import Winner, agreement_with_source_only, winner_result


def left_out(session: Session) -> list[str]:
    """A sentence on what the search would have begun with, had there been time."""
    done = {trial.description for trial in session.trials()}
    waiting = {name: cost for name, cost in session.left_out.items() if name not in done}
    if not waiting:
        return []
    first, cost = next(iter(waiting.items()))
    others = f", and {len(waiting) - 1} more strategies" if len(waiting) > 1 else ""
    return [
        f"For want of time the search began without {first}, which would take about {cost:.0f} s"
        f"{others}; a longer --time-limit tries them."
    ]


def latency_note(session: Session, winner: Winner, needed: float | None) -> str:
    n = len(winner.members)
    told = "The winner is one model" if n == 1 else f"The winner is an ensemble of {n} models"
    if needed is None:
        return f"{told}."
    return f"{told}; one image takes it about {needed:.0f} ms on this machine ({session.device})."


def selection_bias(session: Session, winner: Winner) -> str:
    """What a reader of the winner's score must know."""
    tried = len(session.complete_trials())
    weights = ", and its weights were fitted on them" if len(winner.members) > 1 else ""
    return (
        f"The winner was chosen among {tried} strategies on the same images{weights}: its score "
        "and its gains are expected to be a little too high. Only images set apart as a test split "
        "tell without bias."
    )


def scored_higher(session: Session, winner: Winner) -> list[str]:
    """A sentence on trials that won by the metric and lost all the same: a reader sees them."""
    if not session.has_target_labels:
        return []
    own = winner_result(session, winner)["score"]
    members = {each.trial.id for each, _ in winner.members}
    others = [trial for trial in session.complete_trials() if trial.id not in members]
    fast = [trial for trial in others if within_limit(session, [trial])]
    higher = [trial.score for trial in fast if trial.score is not None and trial.score > own]
    if not higher:
        return []
    one = len(higher) == 1
    why = "it was chosen by the log score of the held-out images"
    if session.options.prefer == "speed" and not is_student(winner.members[0][0]):
        why = "it is the fastest of those that cannot be told apart from the best"
    metric = session.plan.metric.replace("-", " ")
    return [
        f"{'One strategy has' if one else f'{len(higher)} strategies have'} a higher {metric} "
        f"than the winner ({'' if one else 'up to '}{100 * max(higher):.1f} %): {why}."
    ]


def without_labels(session: Session, winner: Winner) -> str:
    start = "The target has no labels, so no gain over source-only can be measured here"
    reference = source_only(session.complete_trials())
    if reference is None:
        return f"{start}; source-only itself did not finish."
    if [each.trial.id for each, _ in winner.members] == [reference.id]:
        return (
            f"{start}. Source-only itself won: nothing ranked ahead of it, or what did would have "
            "given hardly any image another class."
        )
    share = agreement_with_source_only(session, winner, reference)
    return (
        f"{start}; the winner agrees with source-only on {share:.0%} of the unlabelled target "
        "images."
    )
