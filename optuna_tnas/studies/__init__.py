"""Optuna's storages on one side, arrays on the other."""
