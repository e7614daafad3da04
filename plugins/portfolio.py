"""The strategies that every study tries first: baselines, then what has proven itself."""

from automl_xfer.components import StrategySketch

_PROBE = {"freezing": {"name": "linear-probe"}, "head": {"name": "logistic-regression"}}
_ADAMW = {"name": "adamw", "learning_rate": 3e-4, "epochs": 30}

BASELINES = (
    StrategySketch({**_PROBE, "alignment": {"name": "source-only"}}, baseline="source-only"),
    StrategySketch({**_PROBE, "alignment": {"name": "none"}}, baseline="linear-probe"),
    StrategySketch(
        {
            "freezing": {"name": "full"},
            "alignment": {"name": "none"},
            "head": {"name": "linear"},
            "optimization": _ADAMW,
        },
        baseline="full-fine-tuning",
    ),
    StrategySketch(
        {
            "freezing": {"name": "full"},
            "alignment": {"name": "none"},
            "head": {"name": "linear"},
            "optimization": _ADAMW,
        },
        baseline="from-scratch",
        initialisation="random",
    ),
)

PORTFOLIO = (
    StrategySketch({**_PROBE, "alignment": {"name": "none"}}, top=8),
    StrategySketch({**_PROBE, "alignment": {"name": "linear-ot"}}, top=2),
    StrategySketch({**_PROBE, "alignment": {"name": "subspace-alignment"}}, top=2),
    StrategySketch({**_PROBE, "alignment": {"name": "coral"}}),
    StrategySketch({**_PROBE, "alignment": {"name": "joint"}}, top=2),
    StrategySketch(
        {
            "freezing": {"name": "lp-ft"},
            "head": {"name": "logistic-regression"},
            "augmentation": {"name": "flip-crop"},
            "optimization": _ADAMW,
        },
        top=2,
    ),
)
