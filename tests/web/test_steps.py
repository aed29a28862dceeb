"""Steps that a run has reached stay open, also after a reload. Starting over needs a confirmation."""

import pytest


def tab(page, name):
    return page.get_by_role("tab", name=name, exact=True)


@pytest.fixture
def page_before_the_start(open_page):
    page = open_page()
    page.click("#read")
    page.click("#use-data")
    page.click("#use-task")
    page.wait_for_selector("#start:not([disabled])")
    return page


def test_a_page_reloaded_before_the_start_can_start_the_run(page_before_the_start):
    page = page_before_the_start
    page.reload()
    page.wait_for_selector("#start:not([disabled])")
    said = page.inner_text("#estimate")
    assert "60 different" in said
    assert "the model runs on this machine" in said
    assert "Calls" not in said
    page.click("#start")
    page.wait_for_selector("#tiles .tile")


def test_every_step_of_a_reloaded_page_shows_its_inputs(page_before_the_start):
    page = page_before_the_start
    page.reload()
    page.wait_for_selector("#start:not([disabled])")
    tab(page, "2 Task").click()
    page.wait_for_function("document.querySelector('#label-1 textarea').value === 'delivery'")
    tab(page, "1 Data").click()
    page.get_by_text("60 rows read").wait_for()
    page.click("#use-data")
    page.click("#use-task")
    page.wait_for_selector("#start:not([disabled])")


def test_a_page_reloaded_after_reading_data_continues_there(open_page):
    page = open_page()
    page.click("#read")
    page.wait_for_selector("#use-data")
    page.wait_for_url("**run=*")
    page.reload()
    page.click("#use-data")
    page.wait_for_selector("#use-task")


def test_no_step_is_open_before_it_is_reached(open_page):
    page = open_page()
    page.wait_for_selector("#read")
    for name in ("2 Task", "3 Run", "4 Results"):
        assert tab(page, name).is_disabled()


def test_reading_other_data_closes_the_steps_after_it(page_before_the_start):
    page = page_before_the_start
    tab(page, "1 Data").click()
    page.click("#read")
    page.wait_for_function("document.querySelectorAll('#steps > .tab-wrapper button[role=tab]:disabled').length == 3")


def test_the_results_stay_open_while_an_earlier_step_of_a_finished_run_is_looked_at(open_page, finished):
    page = open_page(finished)
    page.wait_for_selector("#tiles .tile")
    for name in ("1 Data", "2 Task", "3 Run"):
        tab(page, name).click()
        tab(page, "4 Results").click()
        page.locator("#tiles .tile").first.wait_for(state="visible")


def test_the_first_steps_of_a_started_run_show_its_inputs_and_cannot_change_them(open_page, finished):
    page = open_page(finished)
    page.wait_for_selector("#tiles .tile")
    tab(page, "1 Data").click()
    page.get_by_text("This run has started with these data").wait_for()
    page.get_by_text("50 rows read").wait_for()
    assert not page.locator("#read").is_visible()
    assert not page.locator("#use-data").is_visible()
    tab(page, "2 Task").click()
    page.get_by_text("This run has started with this task").wait_for()
    page.wait_for_function("document.querySelectorAll('#label-1 textarea')[1].value === 'something to eat'")
    assert not page.locator("#use-task").is_visible()


def test_starting_over_needs_a_confirmation_and_keeps_the_run(open_page, finished):
    page = open_page(finished)
    page.wait_for_selector("#tiles .tile")
    page.click("#start-over")
    page.get_by_text("Start over with other data?").wait_for()
    page.click("#start-over-no")
    page.locator("#start-over-question").wait_for(state="hidden")
    assert finished in page.url
    page.click("#start-over")
    page.click("#start-over-yes")
    page.wait_for_selector("#label-texts")
    assert finished not in page.url
    page.goto(page.url + f"?run={finished}")
    page.wait_for_selector("#tiles .tile")
