"""The bundle: the folder a study ends in, ready to predict."""

from automl_xfer.bundle.format import BundleDescription, Member, read_description
from automl_xfer.bundle.load import Bundle, Prediction, load_bundle
from automl_xfer.bundle.member import load_member, save_member

__all__ = [
    "Bundle",
    "BundleDescription",
    "Member",
    "Prediction",
    "load_bundle",
    "load_member",
    "read_description",
    "save_member",
]
