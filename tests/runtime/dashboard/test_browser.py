"""The page in a real browser: it can be clicked through, it grows, and it asks nobody but us.

Screenshots go to the folder that APEX_SCREENSHOTS names, else to build/screenshots.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from apex_trader.runtime.dashboard.app import app_of
from apex_trader.runtime.dashboard.board import Board
from apex_trader.runtime.dashboard.folders import watched
from apex_trader.runtime.dashboard.serve import PageServer
from tests.runtime.dashboard.conftest import Replay, begin_run
from tests.runtime.test_trader import Paper

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine"
    ),
]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1440,1000",
)  # fmt: skip
#: Seconds that a busy machine may take for anything.
PATIENCE = 60
FIGURES = ("market", "equity", "confidence")


class Browser:
    """A headless Chromium that keeps what it asked for."""

    def __init__(self, profile: Path) -> None:
        options = Options()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        self.requests: list[str] = []

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, until: Any, why: str) -> None:
        WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[Exception]).until(
            lambda _: until(), why
        )

    def text(self, selector: str) -> str:
        return str(self.driver.execute_script(
            "return (document.querySelector(arguments[0]) || {}).textContent || ''", selector
        ))  # fmt: skip

    def points(self, figure: str) -> int:
        """How many points Plotly holds of a figure, over all its traces."""
        return int(self.driver.execute_script(
            "const p = document.querySelector(`#${arguments[0]} .js-plotly-plot`);"
            "return p && p._fullData ? p._fullData.reduce((n, t) => n + (t.x || []).length, 0) : 0",
            figure,
        ))  # fmt: skip

    def hear(self) -> None:
        """Note the requests since the last time."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])

    def complaints(self) -> list[str]:
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def shoot(self, name: str, dark: bool = False) -> None:
        """A picture of the whole page."""
        folder = Path(os.environ.get("APEX_SCREENSHOTS") or "build/screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        height = int(self.driver.execute_script("return document.documentElement.scrollHeight"))
        self.driver.set_window_size(1440, max(height + 150, 1000))
        self.driver.save_screenshot(str(folder / f"{name}.png"))
        self.driver.set_window_size(1440, 1000)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    try:
        yield made
    finally:
        made.driver.quit()


def test_a_run_is_watched_from_before_it_begins_to_its_end(
    browser: Browser, tmp_path: Path, paper: Paper
):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("name: x\n")
    with PageServer(app_of(Board(watched(run)), 0.5), "127.0.0.1", 0) as server:
        browser.driver.get(server.url)
        browser.wait(lambda: "No trading run yet" in browser.text("#heading"), "it waits")
        assert not browser.find("#content").is_displayed()
        browser.shoot("1_waiting")

        (run / "config.yaml").unlink()
        begun = begin_run(run)
        replay = Replay(begun.journal, paper.folder)
        replay.decide(200)
        browser.wait(lambda: "paper trading" in browser.text("#heading"), "the run is shown")
        browser.wait(lambda: browser.find("#content").is_displayed(), "its content is")
        for figure in FIGURES[:2]:
            browser.wait(lambda f=figure: browser.points(f) > 100, f"{figure} is drawn")
        assert browser.text("#status").startswith("trading")
        browser.wait(
            lambda: len(browser.all("#table-decisions tbody tr")) == 100, "a hundred decisions"
        )
        assert len(browser.all("#table-risk tbody tr")) == 8
        assert len(browser.all("#table-coverage tbody tr")) == len(_blocks()) + 1
        assert "features" in browser.text("#state-part")
        browser.shoot("2_trading")

        click_through(browser)
        it_grows(browser, replay)
        it_pauses(browser, replay)

        replay.decide(10_000)
        replay.close()
        begun.result.write_text('{"ended": "STOP file"}')
        browser.wait(lambda: "STOP file" in browser.text("#status"), "it ended")
        browser.shoot("3_ended")
        browser.shoot("4_dark", dark=True)
        browser.hear()
        assert browser.complaints() == []
    asked = [urlsplit(url) for url in browser.requests]
    hosts = {url.netloc for url in asked if url.scheme in ("http", "https", "ws", "wss")}
    assert hosts == {f"127.0.0.1:{server.port}"}, hosts


def _blocks() -> list[str]:
    from tests.state.test_live import schema_of

    return [block.name for block in schema_of("eth_full").blocks]


def click_through(browser: Browser) -> None:
    """Each choice shows what it says, each link leads to its section."""
    shown = {}
    for stretch in ("1 h", "24 h", "all"):
        click(browser, "#stretch", stretch)
        browser.wait(lambda s=stretch: _revision(browser).endswith(s), f"{stretch} is drawn")
        shown[stretch] = browser.points("market")
    assert shown["1 h"] < shown["24 h"] <= shown["all"]
    click(browser, "#choice", "orders")
    browser.wait(
        lambda: (
            0
            < len(browser.all("#table-decisions tbody tr"))
            == len(browser.all("#table-decisions tbody tr.ordered"))
        ),
        "orders alone are listed",
    )
    assert all(" at " in row.text or "not filled" in row.text or "on its way" in row.text
               for row in browser.all("#table-decisions tbody tr")[:10])  # fmt: skip
    click(browser, "#choice", "not acted")
    browser.wait(lambda: not browser.all("#table-decisions tbody tr.ordered"), "others are")
    click(browser, "#choice", "all")
    for link in browser.all("nav a"):
        target = str(link.get_attribute("href")).partition("#")[2]
        browser.driver.execute_script("arguments[0].click()", link)
        browser.wait(lambda t=target: _top(browser, t) < 1000, f"{target} is in sight")
    browser.driver.execute_script("window.scrollTo(0, 0)")


def it_grows(browser: Browser, replay: Replay) -> None:
    """New decisions appear by themselves, and the reader's zoom stays."""
    before_zoom = _range(browser)
    plot = browser.find("#equity .nsewdrag")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    drag = ActionChains(browser.driver).move_to_element_with_offset(plot, -90, -30)
    drag.click_and_hold().move_by_offset(200, 60).release().perform()
    browser.wait(lambda: _range(browser) != before_zoom, "it is zoomed into")
    zoom = _range(browser)
    first = "#table-decisions tbody tr"
    before, points = browser.text(first), browser.points("equity")
    replay.decide(30)
    browser.wait(lambda: browser.text(first) != before, "the newest decision is on top")
    browser.wait(lambda: browser.points("equity") > points, "the equity's line is longer")
    assert _range(browser) == zoom


def it_pauses(browser: Browser, replay: Replay) -> None:
    """Nothing moves while a reader has switched it off."""
    browser.find("#live input").click()
    asked = "return performance.getEntriesByType('resource').length"
    browser.driver.implicitly_wait(0)
    browser.driver.execute_async_script("setTimeout(arguments[0], 2000)")
    before, text = browser.driver.execute_script(asked), browser.text("#table-decisions tbody tr")
    replay.decide(5)
    browser.driver.execute_async_script("setTimeout(arguments[0], 2000)")
    assert browser.driver.execute_script(asked) == before
    assert browser.text("#table-decisions tbody tr") == text
    browser.find("#live input").click()
    browser.wait(lambda: browser.text("#table-decisions tbody tr") != text, "it goes on")


def click(browser: Browser, group: str, label: str) -> None:
    chosen = next(e for e in browser.all(f"{group} label") if e.text.strip() == label)
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", chosen)
    chosen.click()


def _top(browser: Browser, section: str) -> float:
    return float(browser.driver.execute_script(
        "return document.getElementById(arguments[0]).getBoundingClientRect().top", section
    ))  # fmt: skip


def _range(browser: Browser) -> list[Any]:
    return list(browser.driver.execute_script(
        "return document.querySelector('#equity .js-plotly-plot').layout.xaxis.range"
    ))  # fmt: skip


def _revision(browser: Browser) -> str:
    return str(browser.driver.execute_script(
        "return document.querySelector('#market .js-plotly-plot').layout.uirevision"
    ))  # fmt: skip
