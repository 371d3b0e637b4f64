"""The dashboard's pages about addresses, suppressions, the account and comparisons in a real browser."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from support.dashboard import open_dashboard
from support.dashboard_data import ANN, COMPARISON, HOSTILE_TEXT, fill_with_ann
from support.sent_runs import SENT_AT, open_new_workspace

from engine.account.overview import AccountOverview, IdentityDetails, IdentityState
from engine.account.pools.addresses import AddressPool, DedicatedAddress, PoolKind
from engine.account.pools.overview import PoolOverview
from engine.account.quota import AccountQuota
from engine.account.reputation.findings import Recommendation
from engine.account.reputation.limits import RateKind
from engine.account.reputation.picture import MissingPart, SesReputation
from engine.account.reputation.rates import RatePoint, RateSeries
from engine.dashboard import background
from engine.dashboard.account_picture import AccountPart, AccountPicture
from engine.dashboard.background import BackgroundReading
from engine.dashboard.pages import account, suppressions
from engine.errors import ServiceError
from engine.report.own_figures import read_own_figures
from engine.report.reputation_page import ReputationReport
from engine.workspace import Workspace

VIEWS = ((375, "dark"), (1366, "light"), (375, "light"), (1366, "dark"))
WITH_AXE = 2  # of the views
PATHS = ("/address", "/suppressions", "/suppressions?topic=nothing", "/account", "/compare", COMPARISON)


def make_picture(workspace: Workspace) -> AccountPicture:
    """An account whose texts are as long and hostile as those of others may be."""
    details = IdentityDetails("SUCCESS", "bounce.acme.example", "PENDING", "mailrun")
    identities = (
        IdentityState("acme.example", "DOMAIN", "SUCCESS", sends=True, details=details),
        IdentityState("x" * 200 + ".example", "DOMAIN", "PENDING", sends=False),
    )
    quota = AccountQuota(14.0, 50_000.0, 41_000.0, production=False, sending_enabled=True, enforcement="PROBATION")
    overview = AccountOverview("eu-west-1", quota, identities, ("mailrun",))
    address = DedicatedAddress("192.0.2.7", "IN_PROGRESS", 40)
    pools = (AddressPool("shared", PoolKind.SHARED), AddressPool("own", PoolKind.STANDARD, (address,), ("mailrun",)))
    ses = SesReputation(
        region="eu-west-1", at=SENT_AT, days=30, enforcement="PROBATION", sending_enabled=True,
        rates=(RateSeries(RateKind.BOUNCE, None, (RatePoint(SENT_AT, 0.061),)),), vdm=None,
        recommendations=(Recommendation("DKIM", "HIGH", "arn:aws:ses", HOSTILE_TEXT, None),), entities=(),
        suppressed=None, missing=(MissingPart("metrics", "it is off", "turn it on"),),
    )  # fmt: skip
    return AccountPicture(
        AccountPart(overview),
        AccountPart(PoolOverview("eu-west-1", auto_warmup=True, sets_read=True, pools=pools)),
        AccountPart(ReputationReport(ses, read_own_figures(workspace.ledger, SENT_AT))),
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_new_workspace(tmp_path_factory.mktemp("browsed")) as workspace:
        fill_with_ann(workspace)
        picture = make_picture(workspace)
        reading = BackgroundReading("account", lambda _: picture, account._LASTS)
        background.find_reading(account.make_key(workspace), lambda: reading)
        with open_dashboard(workspace) as opened:
            yield opened


@pytest.fixture(autouse=True)
def _short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "PAGE_SIZE", 6)


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, requests: list[str]) -> Iterator[Page]:
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("pageerror", lambda error: requests.append(f"error: {error}"))
        opened.on("console", lambda message: requests.append(f"error: {message.text}"))
        yield opened


def check_views(page: Page) -> None:
    """Nothing is cut off at any width; axe, which takes seconds, sees each width and each scheme once."""
    for number, (width, scheme) in enumerate(VIEWS):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{width} px, {scheme}: the page is {wide} px wide"
        rules = (
            {} if number < 2 else {"runOnly": ["color-contrast"]}
        )  # a second look at the structure finds nothing new
        found = Axe().run(page, options=rules)
        assert not found.violations_count, f"{width} px, {scheme}: {found.generate_report()}"


def check_requests(requests: list[str], url: str) -> None:
    assert [asked for asked in requests if not asked.startswith(url)] == []


@pytest.mark.parametrize("path", PATHS)
def test_page_is_readable_everywhere_and_loads_nothing_foreign(
    page: Page, url: str, requests: list[str], path: str
) -> None:
    page.goto(f"{url}{path}")
    check_views(page)
    check_requests(requests, url)


def test_look_up_with_the_keyboard_shows_the_events(page: Page, url: str, requests: list[str]) -> None:
    page.goto(f"{url}/address")
    page.locator("#address").focus()
    page.keyboard.type(ANN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Marked as spam")).to_be_visible()  # the script has loaded the events
    expect(page).to_have_title("Look up an address · mailrun")
    assert ANN not in page.url
    check_views(page)
    check_requests(requests, url)
    assert not any(ANN in asked or "ann.lee" in asked for asked in requests)


def test_look_up_works_without_scripts(browser: Browser, url: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{url}/address")
        page.fill("#address", ANN)
        page.get_by_role("button", name="Look up").click()
        page.get_by_role("button", name="Show events").click()
        expect(page.get_by_text("Marked as spam")).to_be_visible()
        page.goto(f"{url}/suppressions")
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_role("heading", name="Older entries")).to_be_visible()


def test_comparison_draws_a_chart(page: Page, url: str) -> None:
    page.goto(f"{url}/compare")
    page.get_by_role("link", name="Compare the newest two").click()
    expect(page.get_by_role("heading", name="What differs")).to_be_visible()
    page.goto(f"{url}{COMPARISON}")
    expect(page.locator(".chart canvas")).to_be_visible()


def test_account_says_when_it_was_read(page: Page, url: str) -> None:
    page.goto(f"{url}/account")
    expect(page.get_by_text("read again after five minutes")).to_be_visible()
    expect(page.get_by_text("acme.example is not ready")).to_be_visible()


def test_account_problem_is_readable(page: Page, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    away = background.ReadSoFar(None, None, ServiceError(HOSTILE_TEXT, remedy="check the network"), is_running=False)
    monkeypatch.setattr(account, "_find_other_transports", lambda _: ["smtp"])
    monkeypatch.setattr(BackgroundReading, "get", lambda *_: away)
    page.goto(f"{url}/account")
    expect(page.get_by_text("The account cannot be shown")).to_be_visible()
    check_views(page)
