"""The page in use, in headless Chromium."""

import shutil

import pytest

from tests.gallery.cards import HOSTILE, LONG, write_large_page, write_lungs_page, write_small_page

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium or chromedriver is not installed"
)
BY_NAME = ["a1", "a2", "a3", "a10"]


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small_page(tmp_path_factory.mktemp("small") / "g.html").as_uri()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_large_page(tmp_path_factory.mktemp("large") / "g.html", 2000).as_uri()


@pytest.fixture
def page(driver, small):
    """The small page, freshly loaded; the test fails if the browser logs anything."""
    driver.get(small)
    yield driver
    assert driver.get_log("browser") == []


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return write_lungs_page(tmp_path_factory.mktemp("batch") / "g.html").as_uri()


@pytest.fixture
def lungs(driver, batch):
    """The page of a batch without reference masks, likewise."""
    driver.get(batch)
    yield driver
    assert driver.get_log("browser") == []


def names(driver) -> list[str]:
    """The cards from top left to bottom right."""
    return driver.execute_script(
        """return [...document.querySelectorAll("#cards > li")]
        .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
        .map((item) => item.querySelector(".name").textContent)"""
    )


def choose(driver, control: str, text: str) -> None:
    Select(driver.find_element(By.ID, control)).select_by_visible_text(text)


def search(driver, text: str) -> list[str]:
    box = driver.find_element(By.ID, "filter")
    box.clear()
    box.send_keys(text)
    return sorted(names(driver))


def text_of(driver, name: str) -> str:
    return driver.find_element(By.ID, name).text


def press(driver, *keys: str) -> None:
    for key in keys:
        driver.switch_to.active_element.send_keys(key)


def card(driver, name: str):
    return next(found for found in driver.find_elements(By.CSS_SELECTOR, ".card") if name in found.text.split("\n"))


def focused(driver) -> str:
    return driver.execute_script("return document.activeElement.querySelector('.name')?.textContent")


def opened(driver) -> str | None:
    is_open = driver.execute_script("return document.getElementById('viewer').open")
    return text_of(driver, "viewer-name") if is_open else None


def is_seen(driver, selector: str) -> bool:
    return driver.find_element(By.CSS_SELECTOR, selector).is_displayed()


def test_failures_and_then_the_worst_come_first(page):
    assert names(page) == [HOSTILE, "blank", "a1", "a3", "a10", "a2"]
    assert text_of(page, "count") == "6 of 6 shown"
    assert text_of(page, "summary") == "4 scored, 1 empty, 1 failed"
    assert text_of(page, "legend").split("\n") == ["over", "under"]


@pytest.mark.parametrize(
    ("column", "order", "expected"),
    [
        ("Dice", "best first", ["a2", "a10", "a3", "a1", "blank", HOSTILE]),
        ("Dice", "nearest the median first", ["a3", "a10", "a2", "a1", "blank", HOSTILE]),
        ("HD95 (mm)", "worst first", [HOSTILE, "blank", "a1", "a10", "a3", "a2"]),
        ("HD95 (mm)", "best first", ["a2", "a3", "a10", "a1", "blank", HOSTILE]),
        ("HD95 (mm)", "nearest the median first", ["a3", "a2", "a10", "a1", "blank", HOSTILE]),
        ("Bias (%)", "worst first", [HOSTILE, "blank", "a1", "a3", "a10", "a2"]),
        ("Area", "largest first", [HOSTILE, "blank", "a2", "a3", "a10", "a1"]),
        ("Area", "smallest first", ["a1", "a10", "a3", "a2", "blank", HOSTILE]),
        ("Name", "A to Z", [HOSTILE, *BY_NAME, "blank"]),
        ("Name", "Z to A", ["blank", *BY_NAME[::-1], HOSTILE]),
    ],
)
def test_cards_can_be_sorted(page, column, order, expected):
    choose(page, "sort", column)
    choose(page, "order", order)
    assert names(page) == expected


def test_a_card_shows_the_value_it_is_sorted_by_and_three_more(page):
    assert " ".join(card(page, "a1").text.split()) == "north a1 0.9000 Dice HD95 ∞ Bias \u22129.0 Area 10"
    choose(page, "sort", "HD95 (mm)")
    assert card(page, "a1").text.split()[2:5] == ["∞", "HD95", "(mm)"]
    assert "undefined" in card(page, "blank").text


def test_a_card_that_failed_shows_why(page):
    assert card(page, HOSTILE).text.split("\n") == ["x.png: is <b>damaged</b>", HOSTILE, "failed"]


def test_hostile_text_is_only_text(page):
    assert page.execute_script("return window.hacked") is None
    assert page.title == f"Small & {HOSTILE}"
    card(page, HOSTILE).click()
    assert opened(page) == HOSTILE
    assert page.execute_script("return [window.hacked, document.querySelectorAll('#about b').length]") == [None, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A1", ["a1", "a10"]),
        ("south SCORED", ["a10", "a3"]),
        ("resized", ["a3"]),
        ("damaged", [HOSTILE]),
        ("</script>", [HOSTILE]),
        ("dice<0.97", ["a1", "a3"]),
        ("dice <= 0.97", ["a1", "a10", "a3"]),
        ("dice>=0.95 hd95<10", ["a2", "a3"]),
        ("hd95_mm>10", ["a1", "a10"]),
        ("HD95=inf", ["a1"]),
        ("bias<-0.5 south", ["a10"]),
        ("dice=undefined", ["blank"]),
        ("nowhere", []),
    ],
)
def test_the_filter_matches_words_and_compares_values(page, text, expected):
    assert search(page, text) == expected
    assert text_of(page, "count") == f"{len(expected)} of 6 shown"
    assert text_of(page, "problem") == ""
    assert is_seen(page, "#no-match") is not bool(expected)


@pytest.mark.parametrize(
    ("text", "message"), [("size>3", "no value size"), ("dice<", "number"), ("dice=high", "number")]
)
def test_an_invalid_term_is_reported_and_ignored(page, text, message):
    assert search(page, f"a1 {text}") == ["a1", "a10"]
    assert message in text_of(page, "problem")


def test_group_and_status_can_be_chosen(page):
    choose(page, "group", "north (2)")
    assert sorted(names(page)) == ["a1", "a2"]
    choose(page, "group", "all")
    choose(page, "status", "failed (1)")
    assert names(page) == [HOSTILE]


def test_a_click_opens_the_large_view_with_all_values(page):
    card(page, "a3").click()
    assert opened(page) == "a3"
    assert text_of(page, "position") == "4 of 6"
    facts = text_of(page, "facts").split("\n")
    assert facts == ["south", "resized", "Dice 0.9500", "HD95 (mm) 5.0", "Bias (%) 3.0", "Area 30"]
    layers = page.find_elements(By.CSS_SELECTOR, "#stage img")
    assert [page.execute_script("return arguments[0].naturalWidth", layer) for layer in layers] == [16, 16]
    assert layers[0].rect == layers[1].rect
    assert layers[0].rect["height"] == page.execute_script("return innerHeight")


def test_the_large_view_follows_the_keys_and_returns_the_focus(page):
    card(page, "a3").click()
    seen = []
    for key in (Keys.RIGHT, Keys.RIGHT, Keys.RIGHT, Keys.LEFT, Keys.HOME, Keys.LEFT, Keys.END):
        press(page, key)
        seen.append(opened(page))
    assert seen == ["a10", "a2", "a2", "a10", HOSTILE, HOSTILE, "a2"]
    press(page, Keys.ESCAPE)
    assert opened(page) is None
    WebDriverWait(page, 5).until(lambda _: focused(page) == "a2")


def test_actual_size_shows_one_picture_pixel_per_screen_pixel(page):
    card(page, "a3").click()
    width = "return document.querySelector('#stage .layers').getBoundingClientRect().width * devicePixelRatio"
    fitting = page.execute_script(width)
    press(page, "z")
    assert page.execute_script(width) == pytest.approx(16)
    page.find_element(By.ID, "stage").click()
    assert page.execute_script(width) == fitting
    assert fitting > 16


def test_the_overlay_can_be_hidden_in_both_views(page):
    assert is_seen(page, ".card .overlay")
    page.find_element(By.CSS_SELECTOR, "#controls .overlay-toggle").click()
    assert not is_seen(page, ".card .overlay")
    assert is_seen(page, ".card .backdrop")
    card(page, "a3").click()
    assert not is_seen(page, "#stage .overlay")
    press(page, "o")
    assert is_seen(page, "#stage .overlay")


def test_the_keys_move_among_the_cards(page):
    across = page.execute_script("return Math.floor((document.getElementById('cards').clientWidth + 14) / 222)")
    assert across == 5
    press(page, "/")
    assert page.switch_to.active_element.get_attribute("id") == "filter"
    press(page, Keys.ENTER)
    seen = []
    for key in (Keys.RIGHT, Keys.DOWN, Keys.UP, Keys.UP, Keys.END, Keys.RIGHT, Keys.LEFT, Keys.HOME):
        press(page, key)
        seen.append(focused(page))
    assert seen == ["blank", "a2", HOSTILE, HOSTILE, "a2", "a2", "a10", HOSTILE]
    assert page.execute_script("return document.querySelectorAll('.card[tabindex=\"0\"]').length") == 1
    press(page, Keys.RIGHT, Keys.RIGHT, Keys.ENTER)
    assert opened(page) == "a1"


def test_letters_typed_into_the_filter_are_letters(page):
    search(page, "o/?z")
    assert page.find_element(By.ID, "filter").get_attribute("value") == "o/?z"
    assert page.execute_script("return document.body.className") == ""


def test_help_opens_and_closes(page):
    press(page, "?")
    assert is_seen(page, "#help")
    assert "dice, hd95_mm, bias, area" in text_of(page, "help")
    press(page, Keys.ESCAPE)
    assert not is_seen(page, "#help")


def test_the_page_makes_no_network_request(page):
    card(page, "a1").click()
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_thousands_of_cards_keep_few_pictures_in_the_document(driver, large):
    driver.get(large)
    assert text_of(driver, "count") == "2000 of 2000 shown"
    assert names(driver)[0] == "case0"
    choose(driver, "sort", "HD95 (mm)")
    assert names(driver)[:2] == ["case1999", "case1998"]
    counts = []
    for share in (0.25, 0.5, 1):
        driver.execute_script("scrollTo(0, document.documentElement.scrollHeight * arguments[0])", share)
        driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        counts.append(driver.execute_script("return document.images.length"))
    assert min(counts) > 0
    assert max(counts) < 200
    assert names(driver)[-1] == "case0"
    card(driver, "case0").click()
    press(driver, Keys.HOME, Keys.ESCAPE)
    WebDriverWait(driver, 5).until(lambda _: focused(driver) == "case1999")
    assert driver.execute_script("return scrollY") < 200
    assert driver.get_log("browser") == []


def reasons(driver) -> dict[str, str]:
    """The reason that each card shows, by the name of the card."""
    return {
        found.find_element(By.CSS_SELECTOR, ".name").text: found.find_element(
            By.CSS_SELECTOR, ".card-note, .placeholder"
        ).text
        for found in driver.find_elements(By.CSS_SELECTOR, ".card")
    }


def test_in_a_batch_failures_and_then_the_doubtful_masks_come_first(lungs):
    assert names(lungs) == ["broken.png", "doubtful70.png", "doubtful80.png", "good95.png", "good97.png"]
    assert text_of(lungs, "summary") == "5 radiographs: 2 doubtful, 1 failed, 2 good"
    assert text_of(lungs, "legend").split("\n") == ["right lung (the patient's)", "left lung"]
    badges = [found.text for found in lungs.find_elements(By.CSS_SELECTOR, ".card .badge")]
    assert sorted(badges) == ["doubtful", "doubtful", "failed"]


def test_in_a_batch_the_doubtful_masks_can_be_selected(lungs):
    choose(lungs, "status", "doubtful (2)")
    assert names(lungs) == ["doubtful70.png", "doubtful80.png"]
    assert search(lungs, "only found") == ["doubtful70.png"]
    assert search(lungs, "quality>0.75") == ["doubtful80.png"]


def test_in_a_batch_the_reason_is_beside_the_picture_and_read_out(lungs):
    assert reasons(lungs) == {
        "broken.png": "is empty",
        "doubtful70.png": "only one lung was found",
        "doubtful80.png": LONG,
        "good95.png": "",
        "good97.png": "bones were dark",
    }
    assert card(lungs, "doubtful70.png").get_attribute("aria-label").endswith("only one lung was found")
    card(lungs, "doubtful70.png").click()
    assert text_of(lungs, "facts").split("\n")[:2] == ["doubtful", "only one lung was found"]


@pytest.mark.parametrize("width", [1280, 500])
def test_in_a_batch_long_reasons_are_cut_where_the_card_ends(lungs, width):
    height = lungs.get_window_size()["height"]
    try:
        lungs.set_window_size(width, height)
        lungs.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        long = card(lungs, "doubtful80.png")
        why = long.find_element(By.CSS_SELECTOR, ".card-note").rect
        assert why["height"] > 30  # two lines and more
        assert why["y"] + why["height"] < long.rect["y"] + long.rect["height"]
        assert lungs.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        lungs.set_window_size(1200, height)


def test_in_a_batch_cards_can_be_sorted_by_area(lungs):
    choose(lungs, "sort", "Lung area (cm²)")
    assert names(lungs) == ["broken.png", "good97.png", "doubtful70.png", "good95.png", "doubtful80.png"]
    choose(lungs, "order", "smallest first")
    assert names(lungs) == ["doubtful80.png", "good95.png", "doubtful70.png", "good97.png", "broken.png"]
    assert card(lungs, "doubtful80.png").find_element(By.CSS_SELECTOR, ".lead").text == "300.0\nLung area (cm²)"


def test_cards_of_scores_show_their_notes_in_the_large_view_only(page):
    assert page.find_elements(By.CSS_SELECTOR, ".card-note") == []
    assert card(page, "a3").find_element(By.CSS_SELECTOR, ".badge").text == "note"
