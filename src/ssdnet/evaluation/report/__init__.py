"""From figures to summaries, tables, plots, the page, and the files of `ssdnet bench`."""
