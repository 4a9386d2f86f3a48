"""The deep kernel, the GP on one study, and the choice of the next architecture."""
