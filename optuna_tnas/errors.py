"""Every error a user can meet derives from :class:`OptunaTNASError`."""

from __future__ import annotations


class OptunaTNASError(Exception):
    """Base class of the package's own errors; the text names the value and the remedy."""


class SpaceError(OptunaTNASError, ValueError):
    """A search space is declared inconsistently, or something does not belong to it."""


class MissingSpaceError(SpaceError):
    """A checkpoint's space is the user's own code, which was not given, or is another one."""


class HistoryError(OptunaTNASError, ValueError):
    """Past studies cannot be used for meta-training."""


class DatasetError(OptunaTNASError, ValueError):
    """A data set sample cannot be built or does not fit the surrogate."""


class CheckpointError(OptunaTNASError, ValueError):
    """A checkpoint is missing, damaged, foreign or of an unknown format."""


class StudyError(OptunaTNASError, ValueError):
    """A study cannot be searched with this sampler."""


class StorageError(OptunaTNASError, ValueError):
    """An Optuna storage does not exist or cannot be opened."""


class ConstraintError(OptunaTNASError, ValueError):
    """A known constraint cannot be evaluated, or no architecture meets the constraints."""


class FeatureError(OptunaTNASError, ValueError):
    """A feature that is known before training cannot be computed."""


class ObjectiveError(OptunaTNASError, ValueError):
    """A cheap objective cannot be evaluated, or contradicts the study's trials."""
