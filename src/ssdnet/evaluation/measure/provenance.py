"""How a run was made: versions, machine, settings; all that somebody needs to make it again."""

from __future__ import annotations

import dataclasses
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdnet.evaluation.data.reduction import JUDGED_SIDE
from ssdnet.evaluation.measure.intervals import LEVEL, RUNS
from ssdnet.evaluation.measure.usage import method
from ssdnet.export.record import plain, versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ssdnet.detectors.protocol import Detector
    from ssdnet.evaluation.measure.runner import Settings


def provenance(
    settings: Settings, detectors: Mapping[str, Detector], notes: Iterable[str] = ()
) -> dict[str, Any]:
    """How a run was made, in JSON's types.

    Args:
        settings: of the run.
        detectors: by what they are called in the tables.
        notes: what a person should know about the data.

    Raises:
        DeviceUnavailableError: the device of the settings is not there.
    """
    import torch

    from ssdnet.detectors.settings import settings_of
    from ssdnet.device import resolve

    device = resolve(settings.device)
    described: dict[str, Any] = plain(
        {
            "versions": versions(),
            "machine": {
                "system": platform.platform(),
                "processor": _processor(),
                "cores": os.cpu_count(),
                "threads": torch.get_num_threads(),
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            },
            "settings": dataclasses.asdict(settings),
            "detectors": {
                label: {
                    "name": detector.name,
                    "summary": detector.summary,
                    "source": detector.source,
                    "settings": settings_of(detector),
                }
                for label, detector in detectors.items()
            },
            "judged_side": JUDGED_SIDE,
            "bootstrap": {"draws": RUNS, "level": LEVEL},
            "memory": method(device),
            "notes": list(notes),
        }
    )
    return described


def _processor() -> str:
    """The processor's name, if the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
