from optuna_tnas import TNASSampler


__all__ = ["TNASSampler"]
