"""The page in a real Chromium: every job by mouse, by keyboard alone and without JavaScript; accessibility; pictures.

`SYNCER_PICTURES=docs/pictures` writes the pictures of the docs there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.core.console import Role
from tests.console.site import Site, serving

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed here")
Page, Locator, expect = playwright.Page, playwright.Locator, playwright.expect

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed here (Debian: apt-get install chromium)"
    ),
]

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
PICTURES = os.environ.get("SYNCER_PICTURES")
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PAGES = [
    "/", "/callbacks", "/callbacks?closed=1", "/voicemails", "/voicemails?unknown=1", "/calls", "/calls?missed=1", "/contacts",
    "/contacts?q=nobody", "/contacts/1", "/contacts/1/edit", "/contacts/new", "/who/+919200000007", "/queue", "/queue/1",
    "/queue/2", "/queue/3", "/held", "/held/1", "/health", "/no-such-page",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        made = found.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield made
        made.close()


@pytest.fixture
def site(tmp_path: Path, prepared: Path) -> Iterator[Site]:
    shutil.copy(prepared, tmp_path / "syncer.db")
    with serving(tmp_path) as made:
        yield made


class Visitor:
    """Somebody with a browser, who uses it in one way only."""

    def __init__(self, site: Site, browser: Any, way: str = "mouse", **context: Any) -> None:
        self.site, self.way = site, way
        self.context = browser.new_context(
            viewport=context.pop("viewport", WIDE), java_script_enabled=way != "no script", locale="en-GB",
            timezone_id="Asia/Kolkata", **context,
        )  # fmt: skip
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(5_000)
        self.trouble: list[str] = []
        self.page.on(
            "console",
            # A refused form or a missing page is not an error of the page.
            lambda said: (
                self.trouble.append(said.text)
                if said.type in ("error", "warning") and not re.search(r"status of (404|422)", said.text)
                else None
            ),
        )
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))

    def log_in(self, role: Role = Role.APPROVE, name: str = "Asha Example") -> None:
        self.page.goto(self.site.link(name, role))
        self.press(self.page.get_by_role("button", name="Log in on this browser"))
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Today")

    def go(self, path: str) -> None:
        self.page.goto(self.site.url + path)

    def press(self, what: Locator) -> None:
        if self.way != "keyboard":
            what.click()
            return
        self.reach(what)
        self.page.keyboard.press("Enter")

    def type(self, what: Locator, text: str) -> None:
        """Write into a field, over what is there."""
        if self.way != "keyboard":
            what.fill(text)
            return
        self.reach(what)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def reach(self, what: Locator) -> None:
        """Press Tab until it has the focus; it is seen to have it."""
        expect(what).to_have_count(1)
        for _ in range(150):
            if what.evaluate("one => one === document.activeElement"):
                outline = what.evaluate("one => getComputedStyle(one).outlineStyle")
                assert outline != "none", "the focus is visible"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {what}")

    def done(self) -> None:
        """Nothing was wrong on the way."""
        assert self.trouble == []
        self.context.close()


@pytest.mark.parametrize("way", ["mouse", "keyboard", "no script"])
def test_every_job_is_done(site: Site, browser: Any, way: str) -> None:
    me = Visitor(site, browser, way)
    page, desk = me.page, site.desk
    me.log_in(name="Meera Example")

    # call back, take it back, and close it with a note
    me.press(
        page.get_by_role("navigation", name="Pages", exact=True).get_by_role(
            "link", name=re.compile("^Callbacks")
        )
    )
    first = page.locator("tbody tr").first
    number = first.locator("a.tel").inner_text()
    me.press(page.get_by_role("button", name=f"Done with {number}"))
    expect(page.get_by_role("status")).to_contain_text(f"{number} is closed.")
    me.press(page.get_by_role("button", name="Undo"))
    expect(page.get_by_role("status")).to_contain_text("waits again")
    me.type(page.get_by_label(f"Note on {number}"), "calls again tomorrow")
    if way == "keyboard":
        page.keyboard.press("Enter")
    else:
        me.press(page.get_by_role("button", name=f"Done with {number}"))
    expect(page.get_by_role("status")).to_contain_text("is closed")
    assert desk.sql('SELECT note, "by" FROM callback_marks ORDER BY id DESC LIMIT 1') == [
        ("calls again tomorrow", "Meera Example")
    ]

    # an unknown caller becomes a contact; a mistake comes back with what was typed
    me.go("/voicemails?unknown=1")
    me.press(page.get_by_role("link", name="Add contact +919200000007"))
    me.type(page.get_by_label("First name"), "Tara")
    me.press(page.get_by_role("button", name="Add contact"))
    expect(page.get_by_label("Last name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("First name")).to_have_value("Tara")
    me.type(page.get_by_label("Last name"), "Newcomer")
    me.press(page.get_by_role("button", name="Add contact"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Tara Newcomer")

    # find and correct somebody
    me.go("/contacts")
    me.type(page.get_by_label("Search by name"), "specimen")
    if way == "keyboard":
        page.keyboard.press("Enter")
    else:
        me.press(page.get_by_role("button", name="Search"))
    me.press(page.get_by_role("link", name="Meera Specimen"))
    me.press(page.get_by_role("link", name="Edit"))
    me.type(page.get_by_label("Company"), "Corrected Mills")
    me.press(page.get_by_role("button", name="Save"))
    expect(page.get_by_role("status")).to_contain_text("Saved here")

    # settle a conflict, try a change again, let a delete go, decide about a hold
    me.go("/queue")
    me.press(page.get_by_role("link", name="Asha Example"))
    me.press(page.get_by_role("button", name="Keep the upstream values"))
    expect(page.get_by_role("status")).to_contain_text("settled")
    me.go("/queue/2")
    me.press(page.get_by_role("button", name="Try again now"))
    expect(page.get_by_role("status")).to_contain_text("tried again")
    me.go("/queue/3")
    me.press(page.get_by_role("button", name="Delete it upstream"))
    expect(page.get_by_role("status")).to_contain_text("goes upstream")
    me.go("/held/1")
    me.press(page.get_by_role("button", name="Wrong: keep them"))
    expect(page.get_by_role("status")).to_contain_text("Rejected")
    assert desk.sql("SELECT company FROM telecmi_contacts WHERE id IN (1, 3) ORDER BY id") == [
        ("Acme Foods",),
        ("Corrected Mills",),
    ]
    assert desk.sql("SELECT DISTINCT decided_by FROM change_queue WHERE id < 4") == [("Meera Example",)]
    me.press(page.get_by_role("button", name="Log out"))
    expect(page.get_by_role("heading", level=1)).to_have_text("You need a link to log in")
    me.done()


#: Theme, window, and what axe-core looks for: the same HTML need not be read three times.
LOOKS = [
    ("light", WIDE, {"resultTypes": ["violations"]}),
    ("dark", WIDE, {"runOnly": ["color-contrast"]}),
    ("light", PHONE, {"runOnly": ["target-size", "scrollable-region-focusable"]}),
]


@pytest.mark.parametrize("theme, size, rules", LOOKS)
def test_every_page_is_accessible_and_fits(
    site: Site, browser: Any, theme: str, size: dict[str, int], rules: dict[str, Any]
) -> None:
    row = site.desk.contact(30, "X" * 180, "Y" * 180, "Z" * 300)
    site.desk.call(30, hours=40)
    site.desk.sql(
        "UPDATE telecmi_contacts SET company = ?, email_id = ? WHERE id = ?", "W" * 300, "v" * 200, row
    )
    me = Visitor(site, browser, viewport=size, color_scheme=theme)
    me.log_in()
    wrong: list[str] = []
    for path in ("/login/used-up", "/login", *PAGES, "/contacts/7", "/contacts/7/edit", "/queue/4"):
        me.go(path)
        # The page's own policy keeps scripts of others out, so this one comes in by the debugger.
        me.page.evaluate(AXE + "\n0")
        found = me.page.evaluate(
            "rules => axe.run(document, rules).then(found => found.violations.map(one => "
            "[one.id, one.help, one.nodes.slice(0, 3).map(node => node.target.join(' ') + ': ' + node.any.map(a => a.message))]))",
            rules,
        )
        wrong += [f"{path}: {json.dumps(one)}" for one in found]
        if me.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong.append(f"{path}: it is wider than the window")
    assert wrong == []
    me.done()


def test_shortcuts_lead_to_the_search_and_through_the_rows(site: Site, browser: Any) -> None:
    me = Visitor(site, browser, "keyboard")
    me.log_in()
    me.go("/contacts")
    me.page.keyboard.press("/")
    expect(me.page.get_by_label("Search by name")).to_be_focused()
    me.page.keyboard.type("/j")
    expect(me.page.get_by_label("Search by name")).to_have_value("/j")
    me.go("/contacts")
    me.page.keyboard.press("j")
    me.page.keyboard.press("j")
    me.page.keyboard.press("k")
    expect(me.page.locator("tbody a.name").first).to_be_focused()
    me.go("/contacts")
    me.page.keyboard.press("Tab")
    expect(me.page.get_by_role("link", name="Skip to content")).to_be_focused()
    me.page.keyboard.press("Enter")
    expect(me.page.locator("main")).to_be_focused()
    me.done()


def test_a_recording_plays_and_times_are_the_readers(site: Site, browser: Any) -> None:
    me = Visitor(site, browser)
    me.log_in()
    me.go("/voicemails")
    length = me.page.locator("audio").first.evaluate(
        "async one => { one.muted = true; await one.play(); return one.duration }"
    )
    assert 0.3 < length < 0.5
    shown = me.page.locator("time.zoned").first
    assert re.fullmatch(r"\d+ \w+ \d{4}, \d\d:\d\d", shown.inner_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", shown.get_attribute("title") or "")
    expect(me.page.locator("#zone")).to_have_text(re.compile("Asia/(Kolkata|Calcutta)"))
    me.done()


def test_a_printed_list_of_callbacks_has_no_buttons(site: Site, browser: Any) -> None:
    me = Visitor(site, browser)
    me.log_in()
    me.go("/callbacks")
    me.page.emulate_media(media="print")
    expect(me.page.locator("tbody .tel").first).to_be_visible()
    for gone in ("nav", "form", "button", "audio"):
        assert not any(one.is_visible() for one in me.page.locator(gone).all()), gone
    me.done()


@pytest.mark.skipif(PICTURES is None, reason="SYNCER_PICTURES names no folder for pictures")
def test_pictures_for_the_docs(site: Site, browser: Any) -> None:
    folder = Path(PICTURES or "")
    folder.mkdir(parents=True, exist_ok=True)
    for name, path, theme, size in [
        ("callbacks", "/callbacks", "light", WIDE),
        ("contact", "/contacts/1", "light", WIDE),
        ("conflict", "/queue/1", "dark", WIDE),
        ("phone", "/callbacks", "light", PHONE),
    ]:
        me = Visitor(site, browser, viewport=size, color_scheme=theme)
        me.log_in()
        me.go(path)
        me.page.screenshot(path=folder / f"{name}.png")
        me.done()
