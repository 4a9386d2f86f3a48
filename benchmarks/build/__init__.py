"""Programs that make what the package ships: its history, checkpoints and pictures."""
