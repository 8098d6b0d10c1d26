"""Images with known defects: data sets on disk, synthetic ones, and the size at which they are judged."""
