"""The page of a comparison in a real browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ssdnet.detectors.rivals.phot import PHOT
from ssdnet.detectors.rx import RX
from ssdnet.evaluation.data.datasets import check
from ssdnet.evaluation.data.synthetic import synthesize
from ssdnet.evaluation.measure.provenance import provenance
from ssdnet.evaluation.measure.runner import Settings, run
from ssdnet.evaluation.report.files import write_report
from ssdnet.evaluation.report.summary import summarize

if TYPE_CHECKING:
    from ssdnet.detectors.protocol import Detector

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """`report.html` of two detectors on two textures."""
    out = tmp_path_factory.mktemp("bench")
    cases = check(synthesize(out / "images", 2, textures=("twill", "leather"), side=96))
    detectors: dict[str, Detector] = {"rx": RX(), "<b>phot</b> & more": PHOT()}
    outcomes = list(run(cases, detectors, out=out, settings=Settings()))
    write_report(out, summarize(outcomes), outcomes, provenance(Settings(), detectors, ()))
    return out / "report.html"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_without_asking_for_anything_else(browser, page_file, scheme):
    asked, said = [], []
    tab = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(page_file.as_uri())
    assert {url for url in asked if not url.startswith("data:")} == {page_file.as_uri()}
    assert not said  # a browser complains here of whatever the page's own policy forbids
    images = tab.eval_on_selector_all("img", "all => all.map(img => img.naturalWidth)")
    assert len(images) >= 8
    assert min(images) > 0
    plots = tab.eval_on_selector_all("svg", "all => all.map(svg => svg.getBoundingClientRect().height)")
    assert len(plots) == 3
    assert min(plots) > 50
    assert tab.get_by_role("rowheader", name="<b>phot</b> & more", exact=True).count() >= 1
    ink, paper = (
        tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    brightness = [sum(map(int, value[4:-1].split(","))) for value in (ink, paper)]
    assert (brightness[0] > brightness[1]) == (scheme == "dark")
    for width in (1200, 390):  # a table scrolls by itself, not the page
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.get_by_text("What the columns here and in the files mean").click()
    assert tab.get_by_text("0.5 is guessing, 1 is perfect").is_visible()
