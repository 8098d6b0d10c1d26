"""Measuring detectors against masks: the same images, the same rules, time and memory beside accuracy.

| module | holds |
| --- | --- |
| `datasets` | which images there are, which mask belongs to each, and everything that is wrong with them |
| `synthetic` | sets with exact masks, made from a seed |
| `reduction` | images, maps and masks at the size they are judged at |
| `metrics` | figures of one map and of a whole set |
| `judging` | one result against its mask |
| `intervals` | means over sets, how sure they are, and one detector against another |
| `runner` | every detector on every image with every seed; goes on where it was stopped |
| `cache`, `code`, `usage` | what has been measured already, by which code, and what it took |
| `figures` | what each figure is called, and what it means |
| `summary` | all figures of a run |
| `provenance` | how a run was made |
| `tables`, `plots`, `pictures`, `page`, `report` | what is written: CSV, JSON, Markdown and one HTML page |

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
