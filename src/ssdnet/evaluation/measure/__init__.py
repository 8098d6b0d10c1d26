"""Running the detectors on such images, keeping what was measured, and the figures of each image."""
