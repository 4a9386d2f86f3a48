"""From a fitted model of a study to its next architecture."""
