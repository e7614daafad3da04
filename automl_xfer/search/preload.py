"""Imported once by the fork server, so that a trial's process starts in a tenth of a second.

Imports only: nothing here starts CUDA, threads or plugins.
"""

import ot
import sklearn.linear_model
import timm
import torch
import torchvision.transforms.v2

import automl_xfer.search.trial

__all__ = ["automl_xfer", "ot", "sklearn", "timm", "torch", "torchvision"]
