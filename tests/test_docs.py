"""Every Python example of the README and the docs runs, and every link in them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S))
]


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A folder with the files that the examples speak of."""
    from PIL import Image

    from ssdnet import samples

    monkeypatch.chdir(tmp_path)
    Image.fromarray(samples.demo().image).save("photo.jpg", quality=95)
    (tmp_path / "photos").mkdir()
    for seed in range(2):
        Image.fromarray(samples.texture("twill", (96, 96), seed=seed)).save(f"photos/{seed}.png")


@pytest.mark.parametrize("code", EXAMPLES)
@pytest.mark.usefixtures("photo")
def test_example_runs(code):
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
