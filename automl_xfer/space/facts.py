"""Facts: the words in which components say what they need and what they bring.

A component's `requires` and `excludes` are held against the facts about the data and about the
components chosen before it. A plugin may add words of its own with `provides`.
"""

from automl_xfer.components import AlignmentMethod, Backbone, Component
from automl_xfer.data.manifest import Manifest

FEW_CLASSES = 64

FACTS: dict[str, str] = {
    "source": "the study has at least one labelled source domain",
    "two_sources": "the study has at least two source domains",
    "few_classes": f"there are at most {FEW_CLASSES} classes, so that a batch can hold them all",
    "unlabelled": "the target has images without a label",
    "target_labels": "the target has labelled images",
    "no_target_labels": "no target image has a label",
    "pretrained": "the backbone starts from pretrained weights",
    "random": "the backbone starts from random weights",
    "source_pretrained": "the backbone was trained on the study's source images",
    "batch_norm": "the backbone has batch normalisation",
    "fused": "the backbone is several side by side",
    "stages": "the backbone is cut into more than one stage",
    "maps": "the backbone's stages, the last one aside, put out maps (N, C, H, W)",
    "classifier": "the backbone can bring the classifier of its pretraining",
    "frozen": "no backbone parameter ever trains",
    "trainable": "some backbone parameter trains, by gradient steps",
    "low_rank": "a low-rank update trains beside the backbone's own weights, which stay",
    "fitted_head": "the head is fitted on features before any gradient step",
    "mixed_images": "training images are mixtures of two",
    "two_views": "the alignment method looks at each target image twice",
    "feature_length": "the alignment method changes the length of the features",
    "randomised": "the alignment method varies the colours of the source images at random",
    "stage_features": "the head reads several stages of the backbone",
    "ingredients": "the search has ended and has trained strategies whose weights can be averaged",
    "source_unread": "the target's labels are all that trains the head",
}
"""Every fact of the first-party components and what it says."""


def data_facts(manifest: Manifest) -> frozenset[str]:
    """What holds for the data of a study."""
    several = {"two_sources"} if len(manifest.sources) > 1 else set()
    few = {"few_classes"} if len(manifest.classes) <= FEW_CLASSES else set()
    return manifest.facts() | several | few


def provided_by(chosen: Component | type[Component], facts: frozenset[str]) -> frozenset[str]:
    """What a component chosen where `facts` hold adds for the axes drawn after it.

    A backbone is a candidate, an instance with facts of its own; other components are classes.
    """
    if isinstance(chosen, Backbone):
        return chosen.provides | chosen.facts()
    if isinstance(chosen, type) and issubclass(chosen, AlignmentMethod):
        unread = "source" not in chosen.trains_on and "target_labels" in facts
        return chosen.provides | ({"source_unread"} if unread else set())
    return chosen.provides


def objections(chosen: Component | type[Component], facts: frozenset[str]) -> tuple[str, ...]:
    """Why a component is not admissible where `facts` hold; nothing when it is."""
    missing = [f"needs {fact!r}" for fact in sorted(chosen.requires - facts)]
    barred = [f"excludes {fact!r}" for fact in sorted(chosen.excludes & facts)]
    return (*missing, *barred)
