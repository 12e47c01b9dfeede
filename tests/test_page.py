"""The page in a real browser: what it shows, that it follows, and what a hand on it does."""

import re
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cube.api.access import Caller
from cube.api.page.board import Board
from cube.api.page.views import Drawings, View
from cube.model.ingress import Ingress
from cube.model.job import Port, Volume
from cube.model.task import State, Task
from cube.model.token import Role
from tests.build import job, spec
from tests.stage import run, staged
from tests.test_api import Api, api_over

CHROMIUM = shutil.which("chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
NAMELESS = """
[...document.querySelectorAll("button, a, input:not([type=hidden]), select, th")]
    .filter((found) => !(found.textContent.trim() || found.labels?.length || found.ariaLabel))
    .map((found) => found.outerHTML)
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with staged() as stage, api_over(stage) as found:
        stage.manager.deploy(job("web", 3, min_healthy_time=0.0), run())
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "scripts/setup installs chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield found
        found.close()


@pytest.fixture
def page(api: Api, browser: Browser) -> Iterator[Page]:
    """A window that nobody has signed in at; what its scripts complain about fails the test."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{api.port}")
    context.set_default_timeout(PATIENCE)
    found, complaints = context.new_page(), list[str]()
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
    yield found
    context.close()
    assert complaints == []


def sign_in(page: Page, token: str, path: str = "/") -> None:
    page.goto(path)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def is_live(page: Page) -> None:
    """Its scripts run: before that a button opens nothing."""
    expect(page.get_by_role("status")).to_have_text("live")


def test_who_signs_in_sees_the_fleet_and_what_happens_to_it_without_reloading(api: Api, page: Page) -> None:
    sign_in(page, "cube_wrong")
    expect(page.get_by_role("alert")).to_contain_text("this token is not good")
    sign_in(page, api.tokens["read"])
    expect(page.get_by_role("status")).to_have_text("live")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    nodes, tasks = page.get_by_role("region", name="Nodes"), page.get_by_role("region", name="Tasks")
    expect(nodes.get_by_role("listitem")).to_have_count(3)
    expect(nodes.get_by_role("heading")).to_contain_text("in use by all of it by tasks")
    expect(tasks.get_by_role("row")).to_have_count(1 + 3)
    page.evaluate("window.mark = 'the same document'")
    api.stage.manager.deploy(job("mail", 2, min_healthy_time=0.0), run())
    expect(tasks.get_by_role("row")).to_have_count(1 + 5)
    expect(page.get_by_role("region", name="Jobs")).to_contain_text("mail")
    page.keyboard.press("/")
    page.keyboard.type("mail node")
    expect(tasks.get_by_role("row")).to_have_count(1 + 2)
    assert page.evaluate("window.mark") == "the same document"


def test_a_task_tells_its_history_its_logs_and_why_it_is_where_it_is(api: Api, page: Page) -> None:
    (task, *_) = (found for found in api.stage.store.current_tasks() if found.slot.job == "web")
    sign_in(page, api.tokens["read"], f"/task/{task.id}")
    expect(page.get_by_role("log")).to_contain_text(f"hello from {task.container}")
    why = page.get_by_role("region", name="Why")
    expect(why.get_by_role("row")).to_have_count(1 + 3)
    expect(why.get_by_role("row", name="chosen")).to_contain_text(str(task.node))
    expect(page.get_by_role("region", name="History").get_by_role("listitem")).not_to_have_count(0)


def test_a_node_is_drained_and_let_in_again_after_a_confirmation_by_keyboard_alone(
    api: Api, page: Page
) -> None:
    sign_in(page, api.tokens["operate"], "/node/node2")
    is_live(page)
    opener = page.get_by_role("button", name="Drain …")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Drain node2?")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    assert api.stage.store.cordons() == {}
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Node", exact=True)).to_contain_text("draining")
    expect(page.get_by_role("region", name="What was asked for")).to_contain_text("drain node2")
    api.stage.until(lambda: "node2" not in api.stage.running().values())
    assert api.stage.store.cordons()["node2"].actor == "token operate"
    is_live(page)
    page.get_by_role("button", name="Let it in …").click()
    page.get_by_role("button", name="Let it in", exact=True).click()
    expect(page.get_by_role("region", name="Node", exact=True)).to_contain_text("ready")


def test_a_drain_leaves_data_behind_only_where_its_question_is_answered_so(api: Api, page: Page) -> None:
    writes = spec(volumes=(Volume(source="db-data", target="/data"),))
    api.stage.manager.deploy(job("db", task=writes, min_healthy_time=0.0), run())
    home = str(tasks_of(api, "db")[0].node)
    sign_in(page, api.tokens["operate"], f"/node/{home}")
    is_live(page)
    asked = page.get_by_role("region", name="What was asked for")
    for answer in ("without", "with"):
        page.get_by_role("button", name="Drain …").click()
        if answer == "with":
            page.get_by_label("Leave its data").check()
        page.get_by_role("button", name="Drain it").click()
        if answer == "without":
            expect(asked).to_contain_text(f"tasks would leave their data on {home}")
            assert api.stage.store.cordons() == {}
            is_live(page)
    api.stage.until(lambda: [task.node for task in tasks_of(api, "db")] not in ([], [home]))
    assert api.stage.store.cordons()[home].leave_data
    api.stage.manager.uncordon(home, run())
    api.stage.manager.remove("db", run())


def test_a_drain_that_is_held_back_says_what_stays_there_and_why(api: Api, page: Page) -> None:
    """What an operation failed of is told where it was asked for, not its exit code alone."""
    for name in ("node2", "node3"):
        api.stage.manager.cordon(name, run())
    api.stage.manager.deploy(job("pin", min_healthy_time=0.0), run())
    sign_in(page, api.tokens["operate"], "/node/node1")
    is_live(page)
    page.get_by_role("button", name="Drain …").click()
    page.get_by_role("button", name="Drain it").click()
    asked = page.get_by_role("region", name="What was asked for")
    expect(asked).to_contain_text("pin/main: 1 still to be replaced: version 1 fits nowhere")
    for name in ("node1", "node2", "node3"):
        api.stage.manager.uncordon(name, run())
    api.stage.manager.remove("pin", run())


def test_maintenance_begins_and_ends_where_there_are_requests_from_outside(api: Api, page: Page) -> None:
    listens = spec(ports=(Port(name="http", container=80, public=True),))
    site = job("site", task=listens, ingress=Ingress(port="http"), min_healthy_time=0.0)
    api.stage.manager.deploy(site, run())
    sign_in(page, api.tokens["operate"], "/job/web")
    is_live(page)
    expect(page.get_by_role("button", name="Maintenance …")).to_have_count(0)
    page.goto("/job/site")
    is_live(page)
    page.get_by_role("button", name="Maintenance …").click()
    page.get_by_role("button", name="Leave it").click()
    assert api.stage.store.maintenances() == {}
    page.get_by_role("button", name="Maintenance …").click()
    page.get_by_role("button", name="Begin it").click()
    shown = page.get_by_role("region", name="Job", exact=True)
    expect(shown).to_contain_text("a page answers for it")
    assert api.stage.store.maintenances()["site"].actor == "token operate"
    is_live(page)
    page.get_by_role("button", name="End maintenance …").click()
    page.get_by_role("button", name="End it").click()
    expect(shown).not_to_contain_text("a page answers for it")
    assert api.stage.store.maintenances() == {}
    api.stage.manager.remove("site", run())


def test_a_rollback_is_of_the_version_that_was_looked_at(api: Api, page: Page) -> None:
    api.stage.manager.deploy(job("shop", 2, min_healthy_time=0.0), run())
    bigger = spec("app:2")
    api.stage.manager.deploy(job("shop", 2, task=bigger, min_healthy_time=0.0), run())
    sign_in(page, api.tokens["operate"], "/job/shop")
    is_live(page)
    page.get_by_role("button", name="Roll back …").click()
    page.get_by_label("Back to version").select_option("1")
    page.get_by_role("button", name="Roll it back").click()
    expect(page.get_by_role("region", name="Versions").get_by_role("listitem")).not_to_have_count(0)
    api.stage.until(lambda: {t.spec.image for t in tasks_of(api, "shop")} == {"app:1"})
    assert refused_rollback(api, seen='"2"') == 412


def tasks_of(api: Api, name: str) -> list[Task]:
    return [
        found
        for found in api.stage.store.current_tasks()
        if found.slot.job == name and found.state is State.RUNNING
    ]


def refused_rollback(api: Api, seen: str) -> int:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
    headers = {
        "Authorization": f"Bearer {api.tokens['operate']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection.request("POST", "/job/shop/rollback", f"version=1&seen={seen}", headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("path", ["/", "/node/node1", "/job/web"])
def test_a_phone_shows_everything_in_its_width_in_the_dark_and_by_name(
    api: Api, browser: Browser, path: str
) -> None:
    with browser.new_context(
        base_url=f"http://127.0.0.1:{api.port}", viewport={"width": 360, "height": 740}, color_scheme="dark"
    ) as context:
        page = context.new_page()
        sign_in(page, api.tokens["read"], path)
        expect(page.get_by_role("status")).to_have_text("live")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert luminance(page) < 0.1
        page.get_by_role("button", name="Switch between light and dark").click()
        assert luminance(page) > 0.8
        page.reload()
        assert luminance(page) > 0.8
        assert page.evaluate(NAMELESS) == []
        assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1


def luminance(page: Page) -> float:
    """How bright the paper is, 0..1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


def test_who_may_only_read_is_shown_no_button_that_changes_something_and_refused_if_he_finds_one(
    api: Api, page: Page
) -> None:
    sign_in(page, api.tokens["read"], "/node/node1")
    expect(page.get_by_role("heading", name="node1")).to_be_visible()
    expect(page.get_by_role("button", name="Drain")).to_have_count(0)
    answer = page.request.post("/node/node1/drain", headers={"Origin": f"http://127.0.0.1:{api.port}"})
    assert answer.status == 403
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []


def test_a_cookie_changes_nothing_for_a_page_from_elsewhere_or_for_nobody_p18(api: Api) -> None:
    cookie = f"cube_token={api.tokens['admin']}"
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        for path in ("/node/node1/drain", "/api/v1/nodes/node1/cordon"):
            found = api.ask("POST", path, "", role="nobody", Cookie=cookie, **origin)
            assert (found.status, api.stage.store.cordons()) == (403, {})


def test_no_text_of_a_user_becomes_part_of_the_page_and_no_script_but_ours_runs(api: Api, page: Page) -> None:
    evil = "<img src=x onerror=alert(1)>'\"<script>alert(2)</script>"
    page.on("dialog", lambda _dialog: pytest.fail("a text was run"))
    heavy = spec(evil)
    api.stage.manager.deploy(job("evil", 1, task=heavy, min_healthy_time=0.0), run(1.0))
    sign_in(page, api.tokens["read"], "/job/evil")
    expect(page.get_by_role("region", name="Tasks")).to_contain_text("<img src=x")
    assert page.locator("main img, main script").count() == 0
    policy = api.ask("GET", "/login").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_view_is_drawn_once_for_all_who_look_at_it_at_the_same_time(api: Api) -> None:
    drawings = Drawings(api.desk, Board(api.desk))
    reader, operator = (Caller(name=role, role=role) for role in (Role.READ, Role.OPERATE))
    view = View(name="node", key="node1")
    first = drawings.now(view, reader)
    assert drawings.now(view, Caller(name="another", role=Role.READ)) is first
    assert "Drain" not in first["node"]
    assert "Drain" in drawings.now(view, operator)["node"]
    assert drawings.now(View(name="node", key="gone"), reader) == {}
