"""One `trimtab hmi` as a process, and a browser that looks at it."""

import json
import re
import sys
from pathlib import Path

from tests.support.processes import START_S, Process

EVIL = "<img src=x onerror=\"document.body.dataset.hurt='yes'\">"
"""What must be shown as it is."""
WAIT_MS = 20_000
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 800}}
VARIANTS = {
    "light": {**DESK, "color_scheme": "light"},
    "dark": {**DESK, "color_scheme": "dark"},
    "phone": {**PHONE, "color_scheme": "light"},
}

SETTINGS = """
[web]
port = {port}
[account]
user = "observer"
password_file = "observer.password"
[login]
idle_s = {idle_s}
[log]
format = "json"
"""
UNIT = """
[[units]]
config = {config}
name = {name}
title = {title}
"""


def units_of(config: Path, folder: Path) -> list[tuple[str, str, Path]]:
    """(name, title, controller.toml) of a unit, and of one whose plant does not run."""
    text = config.read_text(encoding="utf-8")
    journal = json.dumps(str(folder / "none.db"))
    text = re.sub(r"^url = .*$", 'url = "opc.tcp://127.0.0.1:9"', text, flags=re.MULTILINE)
    text = re.sub(r"(\[journal\]\npath = ).*", rf"\g<1>{journal}", text)
    dead = folder / "r102.toml"
    dead.write_text(text, encoding="utf-8")
    secret = folder / "apc.password"
    secret.touch(mode=0o600)
    secret.write_text("-", encoding="utf-8")
    return [("R101", "R101", config), ("R102", EVIL, dead)]


class Hmi:
    """One `trimtab hmi`; can be ended and started again at the same address."""

    def __init__(self, folder: Path, password: str, *, idle_s: float = 900.0) -> None:
        self.folder = folder
        self.settings = folder / "hmi.toml"
        self.url = ""
        self.process = None
        self._idle_s = idle_s
        self._units = []
        secret = folder / "observer.password"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="utf-8")

    def configure(self, units: list[tuple[str, str, Path]], port: int = 0) -> None:
        self._units = units
        text = SETTINGS.format(port=port, idle_s=self._idle_s)
        for name, title, config in units:
            text += UNIT.format(
                config=json.dumps(str(config)), name=json.dumps(name), title=json.dumps(title)
            )
        self.settings.write_text(text, encoding="utf-8")

    async def start(self) -> None:
        argv = [sys.executable, "-m", "controller.cli", "hmi", "--hmi", str(self.settings)]
        self.process = Process(argv, self.folder / "hmi.log", self.folder)
        found = await self.process.wait_for(r"trimtab hmi ready: (http://\S+)", START_S)
        self.url = found.group(1)

    async def restart(self) -> None:
        """End it if it runs; start it where it was."""
        await self.end()
        self.configure(self._units, port=int(self.url.rpartition(":")[2]))
        await self.start()

    async def end(self) -> None:
        if self.process is not None and self.process.popen.poll() is None:
            await self.process.end()


class Viewer:
    """One browser window with cookies of its own.

    problems: what no page may cause: script errors, refused content, foreign requests.
    """

    def __init__(self, browser, url: str, *, forgiving: bool = False, **context) -> None:
        self.url = url
        self.problems: list[str] = []
        self.page = None
        self._browser = browser
        self._options = {**VARIANTS["light"], "locale": "en-GB", **context}
        self._forgiving = forgiving
        self._context = None

    async def open(self) -> None:
        self._context = await self._browser.new_context(**self._options)
        self._context.set_default_timeout(WAIT_MS)
        self.page = await self._context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _console(self, message) -> None:
        network = "Failed to load resource" in message.text or "net::ERR" in message.text
        if message.type in {"error", "warning"} and not (network and self._forgiving):
            self.problems.append(f"console: {message.text} at {self.page.url}")

    def _request(self, request) -> None:
        if not request.url.startswith(self.url):
            self.problems.append(f"foreign request: {request.url}")

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def log_in(self, user: str, password: str) -> None:
        await self.go("/login")
        await self.page.fill("#user", user)
        await self.page.fill("#password", password)
        await self.page.click("#login button")
        await self.page.wait_for_url(f"{self.url}/")

    async def text(self, selector: str) -> str:
        return (await self.page.locator(selector).first.inner_text()).strip()

    async def says(self, selector: str, pattern: str, seconds: float = WAIT_MS / 1000) -> None:
        """Wait until an element's text has this in it (a regular expression)."""
        from playwright.async_api import expect

        found = self.page.locator(selector).first
        await expect(found).to_have_text(re.compile(pattern), timeout=1000 * seconds)

    async def shown(self, selector: str) -> None:
        await self.page.locator(selector).first.wait_for(state="visible")

    async def gone(self, selector: str) -> None:
        await self.page.locator(selector).first.wait_for(state="hidden")

    async def close(self) -> None:
        await self._context.close()
