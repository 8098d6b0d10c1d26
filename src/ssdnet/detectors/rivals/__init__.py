"""Methods from the literature that need neither training images nor weights, made from their papers.

They share the protocol and the mathematics with our own detectors, so that a table of them is a fair one:
docs/rivals.md says what each is.
"""
