"""Search methods on one clock: cells of NAS-Bench-201 that are really trained, on image sets.

Black-box methods train cells one by one; one-shot methods train one network that holds all cells
and derive a cell from it. Both are charged CPU seconds, in units of what a random cell's training
takes on the image set, and what they find is trained anew and measured on test images that no
method has seen.
"""
