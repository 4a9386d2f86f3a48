"""Transfer neural architecture search for Optuna."""
