"""Every step in light, dark and on a phone. Screenshots are written to `.screenshots/`."""

import pytest

from tests.web.conftest import ROOT

PICTURES = ROOT / ".screenshots"
SCREENS = {
    "light": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
TABS = ("Trusted labels", "Map", "Review and correct", "Try the student", "Download")


@pytest.fixture(params=SCREENS)
def screen(request, open_page):
    """Opens a page on one of the screens; `keep` takes a picture and says how far the page is too wide."""

    def open_screen(run=""):
        page = open_page(run, **SCREENS[request.param])

        def keep(name):
            PICTURES.mkdir(exist_ok=True)
            page.wait_for_timeout(500)  # for pictures that are still being drawn
            page.screenshot(path=PICTURES / f"{request.param}-{name}.png", full_page=True)
            return page.evaluate("document.documentElement.scrollWidth") - page.viewport_size["width"]

        return page, keep

    return open_screen


def test_the_steps_before_a_run_fit_the_screen(screen):
    page, keep = screen()
    page.click("#read")
    page.wait_for_selector("#use-data")
    too_wide = [keep("1-data")]
    page.click("#use-data")
    page.wait_for_selector("#use-task")
    too_wide.append(keep("2-task"))
    page.click("#use-task")
    page.wait_for_selector("#start:not([disabled])")
    too_wide.append(keep("3-run"))
    assert max(too_wide) <= 0


def test_the_results_fit_the_screen(screen, finished):
    page, keep = screen(finished)
    page.wait_for_selector("#quality .main-svg")
    too_wide = [keep("4-results")]
    for number, name in enumerate(TABS, start=5):
        choose_tab(page, name)
        if name == "Map":
            page.wait_for_selector("#map .main-svg")
        too_wide.append(keep(f"{number}-{name.lower().replace(' ', '-')}"))
    assert max(too_wide) <= 0


def choose_tab(page, name):
    """Chooses a tab, which a narrow screen keeps in a menu."""
    menu = page.locator(".overflow-menu > button")
    if menu.is_visible():
        menu.click()
        entry = page.locator(".overflow-dropdown:not(.hide) button").filter(has_text=name)
        if entry.count():
            entry.click()
            return
        menu.click()
    page.locator(".tab-container:not(.visually-hidden)").get_by_role("tab", name=name).click()


def test_the_first_steps_can_be_taken_without_a_mouse(open_page):
    page = open_page()
    page.wait_for_selector("#read")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "read":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#use-data")
