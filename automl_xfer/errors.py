"""Every error that automl-xfer raises on purpose: one root, one class per cause.

A message states the rule, the value received and the next thing to try. The command line prints
it as one sentence and exits with `exit_code`; library code lets it travel.
"""


class AutomlXferError(Exception):
    """Root of all errors of this package."""

    exit_code = 2


class Stopped(AutomlXferError):  # noqa: N818 - a wish, not an error
    """The user stopped what was running."""

    exit_code = 130


class ConfigError(AutomlXferError):
    """An option, or a combination of options, cannot be used."""


class DataError(AutomlXferError):
    """The images, folders or CSV rows given cannot be used."""


class ComponentError(AutomlXferError):
    """A component or strategy has an unknown name, an unknown parameter or a value out of range."""


class PluginError(AutomlXferError):
    """A plugin cannot be loaded, or two plugins claim one name."""


class ConformanceError(AutomlXferError):
    """A component breaks a rule of its axis; the message names the check and what to do."""

    exit_code = 1


class BackboneUnavailableError(AutomlXferError):
    """The weights of a backbone cannot be had: no such model, or the hub is not reachable."""


class DeviceError(AutomlXferError):
    """The device asked for does not exist here."""


class StorageError(AutomlXferError):
    """The study database cannot be reached, read or written."""


class StudyError(AutomlXferError):
    """A study does not exist, has nothing to show yet, or does not fit what was asked of it."""


class CatalogChangedError(StudyError):
    """A study was begun with other components than those found now."""


class BundleError(AutomlXferError):
    """A bundle is missing, incomplete or was written by an incompatible version."""


class LeftOutWarning(UserWarning):
    """Something that was found cannot be used; the search goes on without it and says so."""
