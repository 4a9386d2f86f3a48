"""Learning from past studies."""
