"""Data: from folders and CSVs to a manifest, a health report, splits and decoded images."""

from automl_xfer.data.decode import UnreadableImageError, decode_image
from automl_xfer.data.health import check_health
from automl_xfer.data.health_report import Finding, HealthReport
from automl_xfer.data.image_cache import ImageCache
from automl_xfer.data.image_set import ImageSet
from automl_xfer.data.manifest import Manifest, Sample, ScannedData, TestSplit
from automl_xfer.data.scan import scan
from automl_xfer.data.splits import default_folds, holdout, stratified_folds

__all__ = [
    "Finding",
    "HealthReport",
    "ImageCache",
    "ImageSet",
    "Manifest",
    "Sample",
    "ScannedData",
    "TestSplit",
    "UnreadableImageError",
    "check_health",
    "decode_image",
    "default_folds",
    "holdout",
    "scan",
    "stratified_folds",
]
