"""Would transfer have helped? Past studies searched again."""
