"""Measuring detectors against masks: the same images, the same rules, time and memory beside accuracy.

| module | holds |
| --- | --- |
| `data.datasets` | which images there are, which mask belongs to each, and all that is wrong with them |
| `data.synthetic` | sets with exact masks, made from a seed |
| `data.reduction` | images, maps and masks at the size they are judged at |
| `measure.runner` | every detector on every image with every seed; goes on where it was stopped |
| `measure.judging` | one result against its mask |
| `measure.metrics` | figures of one map and of a whole set |
| `measure.intervals` | means over sets, how sure they are, and one detector against another |
| `measure.cache`, `measure.code` | what has been measured already, and by which code |
| `measure.usage` | memory and share of the CPU that the work took |
| `measure.provenance` | how a run was made: versions, machine, settings |
| `report.figures` | what each figure is called, and what it means |
| `report.summary` | all figures of a run |
| `report.tables`, `report.plots`, `report.pictures` | what is written: CSV, JSON, Markdown, SVG, JPEG |
| `report.gallery`, `report.page` | which images are shown, and the one HTML page |
| `report.files` | writing all of it |

How images are looked at, together and alone, is that of a folder run: `ssdnet.batch.looking`.

`ssdnet bench` is the command line of it. Some figures need scikit-learn: `pip install "ssdnet[bench]"`.

```python
from pathlib import Path

from ssdnet.evaluation.data.datasets import check
from ssdnet.evaluation.measure.runner import contenders, run
from ssdnet.evaluation.report.summary import summarize
from ssdnet.evaluation.data.synthetic import synthesize

out = Path("bench")
cases = check(synthesize(out / "images", 1, textures=("twill",), side=96))
outcomes = list(run(cases, contenders(["rx"]), out=out))
print(summarize(outcomes).detectors["rx"].means["auroc"].mean)
```
"""
