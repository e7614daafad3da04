"""The strategies that every study tries first: baselines, then what has proven itself."""

from dataclasses import replace

from automl_xfer.components import StrategySketch

_PROBE = {"freezing": {"name": "linear-probe"}, "head": {"name": "logistic-regression"}}
_NONE = {"alignment": {"name": "none"}}
_FINE_TUNING = {
    **_NONE,
    "freezing": {"name": "full"},
    "head": {"name": "linear"},
    "optimization": {"name": "adamw", "learning_rate": 3e-4, "epochs": 20},
}
_FROM_SCRATCH = {"name": "adamw", "learning_rate": 2e-3, "epochs": 60, "batch_size": 16}

BASELINES = (
    StrategySketch({**_PROBE, "alignment": {"name": "source-only"}}, baseline="source-only"),
    StrategySketch(
        {**_PROBE, **_NONE}, baseline="source-only", requires=frozenset({"no_target_labels"})
    ),
    StrategySketch(
        {**_PROBE, **_NONE}, baseline="linear-probe", requires=frozenset({"target_labels"})
    ),
    StrategySketch(_FINE_TUNING, baseline="full-fine-tuning"),
    StrategySketch(
        {**_FINE_TUNING, "optimization": _FROM_SCRATCH},
        baseline="from-scratch",
        initialisation="random",
    ),
)


def _probe(
    alignment: str, top: int = 1, requires: frozenset[str] = frozenset(), **parameters: float | str
) -> StrategySketch:
    """Logistic regression on frozen features behind one alignment method."""
    components = {**_PROBE, "alignment": {"name": alignment, **parameters}}
    return StrategySketch(components, top=top, requires=requires)


def _fine_tuned(
    alignment: str, freezing: str = "lp-ft", regularizer: str | None = None, **parameters: float
) -> StrategySketch:
    """Linear probe, then fine-tuning with gentle rates and flipped crops, which grow for WiSE-FT.

    Without a regularizer's name it is the simplest of those that the study allows.
    """
    augmentation = "progressive-resizing" if freezing == "wise-ft" else "flip-crop"
    regularized = {"regularizer": {"name": regularizer}} if regularizer else {}
    return StrategySketch(
        {
            "freezing": {"name": freezing},
            "alignment": {"name": alignment, **parameters},
            "head": {"name": "logistic-regression"},
            "augmentation": {"name": augmentation},
            "optimization": {"name": "adamw", "learning_rate": 1e-4, "epochs": 20},
            **regularized,
        }
    )


_ONE_SOURCE = (
    _probe("adabn-target-mixture", top=2),
    _probe("target-mixture", top=2, requires=frozenset({"target_labels"})),
    _probe("none", top=8, requires=frozenset({"target_labels"})),
    _probe("adabn", top=2, mix=0.5),
    _probe("none", top=2, requires=frozenset({"no_target_labels"})),
    _probe("linear-ot"),
    _probe("target-mixture", top=2, requires=frozenset({"no_target_labels"})),
    _probe("joint", top=2),
    _fine_tuned("none", "wise-ft"),
    _fine_tuned("adabn", mix=0.3),
    _fine_tuned("none", "wise-ft", "distillation"),
    _probe("adabn-target-mixture", top=2, mix=0.5),
    _probe("adabn", top=2, mix=1.0),
    _probe("adabn", mix=0.3),
    _probe("subspace-alignment"),
    _probe("coral"),
    StrategySketch({"freezing": {"name": "linear-probe"}, "head": {"name": "nearest-class-mean"}}),
)


def _trusting(sketch: StrategySketch) -> StrategySketch:
    """The sketch on the sources that can be trusted, where there are several."""
    components = {**sketch.components, "sources": {"name": "trusted"}}
    return replace(sketch, components=components, requires=sketch.requires | {"two_sources"})


_TRUSTED_ONLY = _trusting(_probe("none", requires=frozenset({"no_target_labels"})))
"""Costs next to nothing after source-only, whose features it reads."""

PORTFOLIO = (_TRUSTED_ONLY, *(_trusting(sketch) for sketch in _ONE_SOURCE), *_ONE_SOURCE)
"""With several sources first those that can be trusted, then all of them."""
