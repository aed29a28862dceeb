"""Every step in light, dark and on a phone, checked by axe-core. Screenshots are written to `.screenshots/`."""

import pytest

from tests.web.conftest import ROOT

PICTURES = ROOT / ".screenshots"
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
TABS = ("Check and correct", "Try the small model", "Download")
FOLDED = ("Each round, calls and costs", "What the small model finds easy and hard", "Map of the texts")


@pytest.fixture(params=SCREENS)
def screen(request, open_page):
    """Opens a page on one of the screens; `keep` takes a picture and returns the problems of the page."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    def open_screen(run="", **options):
        page = open_page(run, **SCREENS[request.param], **options)

        def keep(name):
            PICTURES.mkdir(exist_ok=True)
            page.wait_for_timeout(500)  # for pictures that are still being drawn
            page.screenshot(path=PICTURES / f"{request.param}-{name}.png", full_page=True)
            too_wide = page.evaluate("document.documentElement.scrollWidth") - page.viewport_size["width"]
            found = [f"{name} is {too_wide} px too wide"] if too_wide > 0 else []
            return found + [
                f"{name}: {problem['id']} at {node['target']}: {node['failureSummary']}"
                for problem in axe.run(page).response["violations"]
                if problem["impact"] in ("serious", "critical")
                for node in problem["nodes"]
            ]

        return page, keep

    return open_screen


def test_the_steps_before_a_run_fit_the_screen_and_are_accessible(screen):
    page, keep = screen(landing=True)
    page.wait_for_selector("#label-texts")
    problems = keep("0-landing")
    page.click("#label-texts")
    page.get_by_label("Example").check()
    page.click("#read")
    page.wait_for_selector("#use-data")
    problems += keep("1-data")
    page.click("#use-data")
    page.wait_for_selector("#use-task")
    problems += keep("2-task")
    page.click("#use-task")
    page.wait_for_selector("#start:not([disabled])")
    problems += keep("3-run")
    assert not problems


def test_the_results_fit_the_screen_and_are_accessible(screen, finished):
    page, keep = screen(finished)
    page.wait_for_selector("#counts .main-svg")
    problems = keep("4-results")
    for name in FOLDED:
        page.get_by_role("button", name=name).click()
    page.wait_for_selector("#map .main-svg")
    problems += keep("5-results-unfolded")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    tab = page.get_by_role("tab", name="Download").locator("visible=true").first
    assert 0 <= tab.bounding_box()["y"] < page.viewport_size["height"]
    for number, name in enumerate(TABS, start=6):
        choose_tab(page, name)
        problems += keep(f"{number}-{name.lower().replace(' ', '-')}")
    assert not problems


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
