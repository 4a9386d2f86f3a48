"""Features of an architecture that are known before training: sizes and zero-cost proxies."""

from optuna_tnas.features.counts import Counts
from optuna_tnas.features.proxies import PROXIES
from optuna_tnas.features.proxies import Proxies


__all__ = ["PROXIES", "Counts", "Proxies"]
