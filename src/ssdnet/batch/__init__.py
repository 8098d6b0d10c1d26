"""Many images in one run: which to read and where to write (`plan`), and doing it (`run`).

```python
from pathlib import Path

from ssdnet.batch import Settings, plan, run

out = Path("results")
for outcome in run(plan(["photos"], out), Settings(), out=out, resume=True):
    print(outcome.job.source, outcome.error or outcome.record["pred_label"])
```
"""

from __future__ import annotations

from ssdnet.batch.planning import STANDARD_INPUT, Job, plan
from ssdnet.batch.running import run
from ssdnet.batch.work import Outcome, Settings

__all__ = ["STANDARD_INPUT", "Job", "Outcome", "Settings", "plan", "run"]
