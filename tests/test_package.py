"""The package as a whole: its public names, how fast it starts, what it imports, its entry points."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import ssdnet
from ssdnet import detectors
from ssdnet.errors import UnknownDetectorError, UsageError

PUBLIC = {
    "FittedModel",
    "fit",
    "Image",
    "Localization",
    "Region",
    "__version__",
    "detectors",
    "errors",
    "localize",
    "localize_many",
    "read_image",
}


def test_public_names_are_these():
    assert set(ssdnet.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(ssdnet, name) is not None
    assert set(dir(ssdnet)) >= PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ssdnet.nonsense


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, json, ssdnet; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"torch", "numpy", "scipy", "matplotlib", "PIL", "rich", "click"} & set(loaded)


def test_every_module_says_what_it_is_for():
    names = {module.name for module in pkgutil.walk_packages(ssdnet.__path__, "ssdnet.")}
    assert len(names) > 20
    for name in (names | {"ssdnet"}) - {"ssdnet.__main__"}:
        assert importlib.import_module(name).__doc__, name


def test_nothing_reaches_for_the_network():
    """No module of ours imports a client of any protocol."""
    clients = {
        "urllib.request",
        "http.client",
        "requests",
        "httpx",
        "socket",
        "ftplib",
        "aiohttp",
        "torch.hub",
    }
    for path in Path(ssdnet.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            assert not clients & set(names), path


def test_detectors_are_listed_and_made():
    assert detectors.available()[0] == "texture"
    assert detectors.create("auto").name == detectors.AUTO
    with pytest.raises(UnknownDetectorError, match=r"'magic'.*auto, texture"):
        detectors.create("magic")


def test_auto_comes_fast_or_as_good_as_it_gets():
    assert detectors.create("auto", "fast") == detectors.create("texture")
    assert detectors.create("auto", "best") == detectors.create("ssdnet")
    assert detectors.create("auto", "draft") == detectors.create("ssdnet", "draft")
    with pytest.raises(UsageError, match="no quality 'perfect': choose from fast, draft, best"):
        detectors.create("auto", "perfect")


def test_another_package_can_offer_a_detector(monkeypatch, tmp_path):
    (tmp_path / "foreign_detector.py").write_text(
        textwrap.dedent(
            """
            from dataclasses import dataclass
            from typing import ClassVar

            from ssdnet.detectors.protocol import Detector

            @dataclass(frozen=True)
            class Foreign(Detector):
                name: ClassVar[str] = "foreign"
                summary: ClassVar[str] = "brightness"
                assumes: ClassVar[str] = "nothing"
                source: ClassVar[str] = "elsewhere"

                def score(self, pixels, valid, *, generator, progress):
                    return pixels.mean(0)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("foreign", "foreign_detector:Foreign", detectors.GROUP)
    monkeypatch.setattr(detectors.registry, "entry_points", lambda group: EntryPoints([point]))
    assert detectors.available()[-1] == "foreign"
    detector = detectors.create("foreign")
    assert isinstance(detector, importlib.import_module("ssdnet.detectors.protocol").Detector)
