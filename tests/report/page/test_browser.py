"""The page in a real browser: sorted, filtered, asked where a number comes from; on a phone and on paper."""

from __future__ import annotations

import json
import shutil

import pytest

from relrep_exp.report.experiment import write_experiment
from relrep_exp.report.page.library import library
from relrep_exp.report.page.page import build
from relrep_exp.store.records import RecordStore
from report.synthetic import plausible
from report.synthetic_paper import closing_of, experiment_of, runs_of

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt install chromium"),
]
METHODS = ("absolute", "random-cosine", "param-wip")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Table 1 as if it had run, less one run; the methods on digits; a record that is damaged."""
    outputs = tmp_path_factory.mktemp("outputs")
    records = [one for one in runs_of("table1") if (one.method, one.config["seed"]) != ("param-wip", 5)]
    others = [plausible(method, seed) for method in METHODS for seed in (0, 1)]
    keep = RecordStore(outputs / "records")
    for record in [*records, *others]:
        keep.put(record)
    keep.path("0" * 24).write_text("{")
    closing = closing_of(experiment_of("table1"), records)
    write_experiment(closing, {one.key: one for one in records}, outputs / "report" / "table1")
    return outputs


@pytest.fixture(scope="module")
def address(store):
    return build(library([store]), store / "report")[0].as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser, address):
    """A function that opens the page; at the end nothing was asked of the network and nothing complained."""
    contexts, complaints, requests = [], [], []

    def open_one(**how):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {address}


@pytest.fixture
def page(open_page):
    return open_page()


def column(page, table, number):
    """The texts of a column, without the closing rows and the paper's numbers."""
    script = """(table, n) => [...table.tBodies[0].rows].map(
        (row) => (row.cells[n].querySelector('.number') ?? row.cells[n]).textContent.trim())"""
    return page.locator(table).first.evaluate(script, number)


def test_a_column_sorts_up_down_and_back_and_rows_without_a_value_stay_last(page):
    table = "#table-digits-stitch table"
    header = page.locator(f"{table} th", has_text="absolute")
    names = [column(page, table, n) for n in (0, 1)]
    numbers = column(page, table, 2)
    values = sorted(float(text.split(" ")[0]) for text in numbers if text != "-")
    for order, expected in (("ascending", values), ("descending", values[::-1])):
        header.get_by_role("button").click()
        assert header.get_attribute("aria-sort") == order
        found = column(page, table, 2)
        assert [float(text.split(" ")[0]) for text in found[: len(values)]] == expected
        assert set(found[len(values) :]) == {"-"}
        assert [*zip(column(page, table, 0), column(page, table, 1), strict=True)] != [
            *zip(*names, strict=True)
        ]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") is None
    assert [column(page, table, n) for n in (0, 1)] == names


def test_rows_that_are_equal_keep_their_order_and_the_means_stay_below(page):
    table = "#table-digits-stitch table"
    before = [*zip(column(page, table, 0), column(page, table, 1), strict=True)]
    page.locator(f"{table} th", has_text="test encoder").get_by_role("button").click()
    after = [*zip(column(page, table, 0), column(page, table, 1), strict=True)]
    assert after == sorted(before, key=lambda pair: pair[0]) != before
    assert page.locator(f"{table} tbody").last.locator("th").first.inner_text() == "mean"


def test_numbers_sort_as_numbers_and_times_as_text(page):
    page.locator("#runs summary").click()
    headers = page.locator("#runs th")
    headers.nth(2).get_by_role("button").click()
    seeds = [int(text) for text in column(page, "#runs table", 2)]
    assert seeds == sorted(seeds) and len(set(seeds)) == 6


def test_a_task_and_some_methods_are_all_that_is_left(page):
    sections = page.locator("section[data-task]")
    assert [one.is_visible() for one in sections.all()] == [True, True]
    page.select_option("#task", "digits_stitch")
    assert page.locator("section[data-task]:visible").count() == 1
    assert page.locator("nav a:visible").all_inner_texts() == [
        "What is wrong with the store",
        "digits_stitch",
        "All runs",
    ]
    assert page.locator("#shown").inner_text() == "1 of 2 tables"
    page.click("#methods summary")
    page.click("#none")
    assert page.locator("#shown").inner_text() == "0 of 2 tables"
    page.get_by_label("param-wip", exact=True).check()
    heads = page.locator("#table-digits-stitch thead th:visible").all_inner_texts()
    assert heads == ["test encoder", "classifier", "param-wip"]
    assert page.locator("#table-digits-stitch tbody tr").first.locator("td:visible").count() == 1
    page.locator("#runs summary").click()
    assert page.locator("#runs tbody tr:visible").count() == 2
    page.keyboard.press("Escape")
    page.click("#methods summary")
    page.click("#every")
    page.select_option("#task", "")
    assert page.locator("section[data-task]:visible").count() == 2


def test_a_number_says_where_it_comes_from(page, store):
    cell = page.locator("#table-digits-stitch tbody tr").nth(1).locator("td").last
    shown = cell.inner_text()
    cell.get_by_role("button").click()
    panel = page.get_by_role("dialog")
    assert panel.get_by_role("heading").inner_text() == f"mlp × conv, random-cosine: {shown}"
    expected = []
    for seed in (0, 1):
        rows = plausible("random-cosine", seed).rows
        [value] = [row.value for row in rows if row[:2] == ("conv", "mlp") and row.metric == "f1_weighted"]
        expected.append(f"digits_stitch, random-cosine, seed {seed}: {100 * value:.2f}")
    assert panel.locator(".run > summary").all_inner_texts() == expected
    for part in ("Configuration", "Versions"):
        panel.locator(".part summary", has_text=part).first.click()
    told = panel.inner_text()
    file = RecordStore(store / "records").path(plausible("random-cosine", 0).key)
    assert all(text in told for text in (str(file), "took\n0.1 s", "decoder.name\nlinear", "torch\n2.6.0"))


def test_the_panel_works_by_keyboard_and_gives_the_focus_back(page):
    first = page.locator("#table-table1-paper .number").first
    first.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    assert panel.is_visible()
    assert "within noise" in panel.inner_text() and "p = 1" in panel.inner_text()
    assert page.evaluate("document.activeElement.id") == "panel-title"
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    assert first.evaluate("(button) => button === document.activeElement")


def test_a_command_is_copied(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#table-table1-paper .command .copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "python run.py experiment=table1"


def test_missing_runs_are_listed_with_their_commands(page):
    page.locator("#table-table1-paper .gaps summary").click()
    shown = page.locator("#table-table1-paper .gaps").inner_text()
    assert "param-wip, seed=5: failed: out of memory" in shown
    assert "python run.py anchors=param-wip seed=5" in shown


def test_the_theme_follows_the_system_until_one_is_chosen(open_page):
    def background(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (open_page(color_scheme=scheme) for scheme in ("light", "dark"))
    white, black = background(light), background(dark)
    assert white == "rgb(255, 255, 255)" and black != white
    for page, expected in ((light, [white, black, white]), (dark, [white, black, black])):
        found = []
        for _ in range(3):
            page.click("#theme")
            found.append(background(page))
        assert found == expected
    light.click("#theme")
    light.click("#theme")
    light.reload()
    assert background(light) == black and light.locator("#theme").inner_text() == "Theme: dark"


CONTRAST = """() => {
    const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const luminance = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(channel);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if (!/, 0\\)$/.test(colour)) return colour;
        }
    };
    const found = {};
    const small = "p, td, th:not(.repeated), a, summary, code, button, .paper, .paper span, dt, dd, caption";
    for (const node of document.querySelectorAll(small)) {
        if (!node.checkVisibility() || !node.textContent.trim()) continue;
        const [ink, paper] = [getComputedStyle(node).color, behind(node)].map(luminance);
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) found[`${node.tagName}.${node.className}`] = ratio;
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_small_text_needs(open_page, scheme):
    page = open_page(color_scheme=scheme)
    assert page.evaluate(CONTRAST) == {}


def test_on_a_phone_only_tables_scroll_sideways(open_page):
    page = open_page(viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#table-table1-paper .scroll").first.evaluate(
        "(box) => box.scrollWidth > box.clientWidth"
    )
    page.locator("#table-digits-stitch .number").first.click()
    assert page.get_by_role("dialog").evaluate("(panel) => panel.scrollWidth <= panel.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_paper_shows_all_and_no_controls(page):
    page.select_option("#task", "digits_stitch")
    assert not page.locator("#table-table1-paper").is_visible()
    page.emulate_media(media="print")
    assert all(one.is_visible() for one in page.locator("section").all())
    assert not any(one.is_visible() for one in page.locator("form, nav, .copy").all())
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#runs td").first.is_visible() and page.locator(".gaps li").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#runs > details").get_attribute("open") is None


def test_without_a_script_everything_is_there_to_read(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("table:visible").count() == 2
    assert not page.locator("#filters").is_visible()
    page.locator("#runs summary").click()
    assert page.locator("#runs tbody tr:visible").count() == len(
        json.loads(page.locator("#data").text_content())["runs"]
    )


def test_an_empty_store_has_a_page_without_filters(browser, tmp_path):
    page, complaints = browser.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(build(library([tmp_path]), tmp_path)[0].as_uri())
    assert "python run.py experiment=demo" in page.locator("main").inner_text()
    assert page.get_by_role("button").all_inner_texts() == ["Theme: system"]
    assert complaints == []
    page.close()


def test_every_control_and_region_has_a_name(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, img, [role], nav, section, dialog")]
            .filter((node) => !(node.textContent.trim() || node.alt || node.ariaLabel || node.labels?.length
                                || node.getAttribute("aria-labelledby")))
            .map((node) => node.outerHTML)"""
    )
    assert unnamed == []
