"""The keyboard page in a real browser, held to the interpreter."""

import json
import os
import re
import shutil
import threading
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.suggestions.personal_words import PersonalWords
from client_model.suggestions.strip import Strip, shown
from client_model.text.vocabulary import FIRST_WORD, PUNCTUATION, tokenize
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.reference_vectors import completions, ids_of
from simulation.device.keyboard_server import PAGE, KeyboardServer, open_model
from simulation.device.litert_package import LiteRtUnavailableError, litert_files
from simulation.studies.phone_story.showing import story_as_json
from simulation.studies.phone_story.words import story_of
from tests.simulation.device.keyboard_model import SHAPE, VOCABULARY, export_small_model
from tests.simulation.device.test_model_card import PRIVACY
from tests.simulation.studies.phone_story.test_words import HISTORIES, config_of
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow
BOTH_ENGINES = pytest.mark.parametrize("server", ["litert", "local"], indirect=True)
NOTHING = "\N{EN DASH}"
STORY = story_as_json(story_of(HISTORIES[1], config_of()))  # of a phone that was asked six times
BLOCKED = set((PAGE / "blocklist.txt").read_text().split())
_QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1000,900"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    os.environ["SE_AVOID_STATS"] = "true"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*_QUIET, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    found.set_script_timeout(60)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def server(request, small_models):
    litert = {}
    if getattr(request, "param", "litert") == "litert":
        try:
            litert = litert_files()
        except LiteRtUnavailableError as error:
            pytest.skip(f"LiteRT.js is not to be had here: {error}")
    found = KeyboardServer([open_model(root) for root in small_models], litert, "as asked for", 0, story=STORY)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


class Page:
    """What a person does and sees."""

    def __init__(self, browser, server):
        self.browser = browser
        # An address that differs in nothing or behind # alone is not loaded again, and after one of another site a new
        # process would compile the engine anew.
        browser.get(urljoin(server.page_address, "blocklist.txt"))
        browser.get(server.page_address)
        WebDriverWait(browser, PATIENCE_S).until(lambda b: self.mark("ready") or self.mark("failed"))
        assert self.mark("ready"), self.shown("engine")

    def mark(self, name):
        return self.browser.execute_script("return document.documentElement.dataset[arguments[0]]", name)

    def shown(self, name):
        return self.browser.find_element(By.ID, name).text

    def strip(self, place=0):
        self.wait_until_idle()
        buttons = self.browser.find_elements(By.CSS_SELECTOR, f"#strip-{place} button.word")
        return [button.text for button in buttons if button.text]

    def wait_until_idle(self):
        script = "const s = arguments[0]; import('/page.js').then((p) => p.idle()).then(s)"
        self.browser.execute_async_script(script)

    def announcement(self):
        return self.browser.find_element(By.ID, "announce").get_property("textContent")

    def type(self, *keys):
        self.browser.find_element(By.ID, "text").send_keys(*keys)

    @property
    def text(self):
        return self.browser.find_element(By.ID, "text").get_property("value")

    def alt(self, key):
        ActionChains(self.browser).key_down(Keys.ALT).send_keys(key).key_up(Keys.ALT).perform()

    def press(self, *labels):
        for label in labels:
            found = self.browser.find_elements(By.CSS_SELECTOR, f'#keys [aria-label="{label}"]')
            next(key for key in found if key.is_displayed()).click()
        self.wait_until_idle()

    def key(self, value):
        found = self.browser.find_elements(By.CSS_SELECTOR, f'#keys [data-key="{value}"]')
        return next(key for key in found if key.is_displayed())

    def separators(self, place=0):
        """Which of the strip's places have a line drawn before them."""
        script = """
            return [...document.querySelectorAll(`#strip-${arguments[0]} button`)]
              .map((button) => getComputedStyle(button, "::before").content !== "none")"""
        return self.browser.execute_script(script, place)


@pytest.fixture
def page(browser, server):
    return Page(browser, server)


def steps_of(small_models, place=0):
    file = (small_models[place] / "model" / "keyboard.tflite").read_bytes()
    return FileSteps(open_interpreter(file))


def expected_words(steps, finished, typed, personal=None):
    """What the interpreter suggests with the additions, without the blocked words."""
    logits, _ = steps.read(np.array(ids_of(finished, VOCABULARY), np.int32))
    return Strip(VOCABULARY, BLOCKED).offered(logits[-1], tokenize(finished), typed, personal)


def typing_cost(steps, message, personal):
    """(characters, keystrokes) of a message, every suggestion accepted as soon as the strip shows it."""
    strip, logits = Strip(VOCABULARY, BLOCKED), steps.read(np.array(ids_of(message, VOCABULARY), np.int32))[0]
    characters = keystrokes = 0
    for place, (token, written) in enumerate(
        zip(tokenize(message), re.findall(r"[\w']+|[.,?!]", message), strict=True)
    ):
        if token in PUNCTUATION:
            characters, keystrokes = characters + 1, keystrokes + 1
            continue
        before, typed = tokenize(message)[:place], 0
        while typed < len(token):
            offered = strip.words(logits[place], before, written[:typed], personal)
            if any(shown(w, before, written[:typed]) in (written, written[:1].upper() + written[1:]) for w in offered):
                break
            typed += 1
        characters, keystrokes = characters + len(token) + 1, keystrokes + typed + 1
    return characters, keystrokes


def test_what_a_file_lacks_stands_first_and_its_facts_below(page):
    short, full = page.shown("guarantee").split("\n")  # this one's guarantee is its own
    assert short == "This file has a privacy guarantee of its own." and full == f"It has {PRIVACY['statement']}."
    body = page.browser.find_element(By.TAG_NAME, "body").text.split("\n")
    assert body[:3] == ["Typefleet keyboard", short, full]
    assert "abababababab…" in page.shown("facts") and "1,315,000 phones" in page.shown("facts")
    digest = page.browser.find_element(By.CSS_SELECTOR, "#facts dd")
    assert digest.get_attribute("title") == "ab" * 32
    digest.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(page.browser, PATIENCE_S).until(lambda _: "Copied" in digest.text or "ab" * 32 in digest.text)
    assert "keystrokes saved 36.8" in page.shown("models")
    assert "trigram" not in page.shown("models")  # counted on the phones that train, so it is not in the file


def test_nothing_is_timed_before_a_key_is_pressed_and_no_line_is_drawn_beside_nothing(page):
    assert len(page.strip()) == 3
    assert page.shown("press") == page.shown("median") == NOTHING
    mark = page.browser.find_element(By.CSS_SELECTOR, "#strip-0 button.mark").text
    assert page.separators() == [False, True, True, bool(mark)]
    page.browser.find_elements(By.CSS_SELECTOR, "#models input")[1].click()
    page.wait_until_idle()
    assert page.shown("press") == NOTHING
    page.type("damn")
    assert page.strip() == [] and page.separators() == [False] * 4
    assert "ms" in page.shown("press")


def test_letters_that_no_word_begins_with_are_offered_themselves_and_taken_as_they_stand(page, small_models):
    page.type("Qqqq")
    assert page.strip() == ["“Qqqq”"] and page.separators() == [False] * 4
    page.alt("1")
    page.wait_until_idle()
    assert page.text == "Qqqq " and page.shown("counts") == "5 / 5"  # no keystroke is saved by it
    WebDriverWait(page.browser, PATIENCE_S).until(lambda _: page.strip()[0] in page.announcement())
    page.type(Keys.BACKSPACE * 5, "hte")
    *near, itself = page.strip()
    assert itself == "“hte”" and len(near) == 2
    assert page.strip() == expected_words(steps_of(small_models), "", "hte")


@pytest.mark.parametrize("size", [(360, 740), (320, 640)])
def test_all_keys_are_on_a_small_phones_screen_without_scrolling(browser, server, size):
    """With two models, whose strips take the most room."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page = Page(browser, server)
        page.wait_until_idle()
        script = """
            const [keys, sent] = ["keys", "sent"].map((id) => document.getElementById(id).getBoundingClientRect());
            return [keys.bottom, sent.height, document.documentElement.scrollWidth];"""
        bottom, of_messages, across = browser.execute_script(script)
        assert bottom <= height and of_messages >= 48 and across <= width
        assert page.shown("guarantee") == "This file has a privacy guarantee of its own."
        browser.find_element(By.CSS_SELECTOR, "#guarantee summary").click()  # what unfolds may push the keys away
        assert PRIVACY["statement"] in page.shown("guarantee")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_shift_comes_by_itself_where_a_sentence_begins(page):
    pressed = lambda: page.key("Shift").get_attribute("aria-pressed") == "true"  # noqa: E731
    assert pressed()
    page.press("capital s", "e", "e", "full stop", "space", "capital a", "space")
    assert page.text == "See. A " and not pressed()
    page.press("backspace", "backspace")
    assert page.text == "See. " and pressed()
    page.press("shift", "b", "enter")
    assert page.shown("sent") == "See. b" and pressed()
    page.press("shift")
    page.browser.find_element(By.ID, "own").click()  # what is no typing does not bring it back
    page.wait_until_idle()
    assert not pressed()
    page.press("emoji", "red heart", "enter")
    assert page.shown("sent") == "See. b\n❤️" and pressed()  # and the letters are there again


def test_capitals_digits_and_emoji_are_typed_on_the_screen_and_enter_sends(page):
    page.press("capital s", "e", "e", "space")
    assert page.text == "See " and page.key("Shift").get_attribute("aria-pressed") == "false"
    ActionChains(page.browser).double_click(page.key("Shift")).perform()
    assert page.key("Shift").get_attribute("aria-pressed") == "true"
    page.press("capital u", "capital b", "caps lock", "space", "digits and symbols", "2", "exclamation mark")
    page.press("letters", "emoji", "red heart", "grinning face", "backspace", "thumbs up")
    assert page.text == "See UB 2!❤️👍"
    assert page.shown("counts") == "11 / 13"  # an emoji is one letter; the one taken back cost two
    page.press("backspace", "backspace")
    assert page.text == "See UB 2!"
    page.press("letters", "shift", "enter", "capital a", "enter")
    assert page.text == "" and page.shown("sent") == "See UB 2!\nA"
    page.type("b", Keys.SHIFT, Keys.ENTER, Keys.NULL, "c")
    assert page.text == "b\nc"
    ActionChains(page.browser).click_and_hold(page.key("Shift")).pause(0.8).release().perform()
    assert page.key("Shift").get_attribute("aria-label") == "caps lock"


def test_what_could_have_been_saved_counts_what_the_page_offers(page, small_models):
    steps, personal = steps_of(small_models), PersonalWords()
    messages = ["hello zuzu", "Hello zuzu, where will we meet?", "zuzu will be at the Station"]
    characters = keystrokes = 0
    for message in messages:
        more = typing_cost(steps, message, personal)
        characters, keystrokes = characters + more[0], keystrokes + more[1]
        personal.remember(tokenize(message))
        page.type(message, Keys.ENTER)
    page.wait_until_idle()
    assert f"could have saved {100 * (1 - keystrokes / characters):.1f} %" in page.shown("possible-0")
    without = sum(typing_cost(steps, message, PersonalWords())[1] for message in messages)
    assert keystrokes < without  # the third message's own word came after a letter


def test_own_words_can_be_left_out(page, small_models):
    steps = steps_of(small_models)
    page.browser.find_element(By.ID, "own").click()
    for _ in range(6):
        page.type("hello zuzu", Keys.ENTER)
    page.type("hello zu")
    assert page.strip() == expected_words(steps, "hello", "zu") and page.strip()[-1] == "“zu”"


def test_without_a_training_file_the_page_says_how_to_get_it_and_a_reload_is_enough(browser, small_models, tmp_path):
    folder = shutil.copytree(small_models[0], tmp_path / "run")
    training = folder / "model" / "keyboard_train.tflite"
    whole = training.read_bytes()
    training.unlink()
    server = KeyboardServer([open_model(folder)], {}, "as asked for", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = Page(browser, server)
        page.type("see you", Keys.ENTER)
        page.wait_until_idle()
        assert not browser.find_element(By.ID, "learn").is_enabled()
        assert page.shown("command").endswith(f"scripts/export_model.py {folder}")
        training.write_bytes(whole)
        page = Page(browser, server)
        assert not browser.find_element(By.ID, "how").is_displayed()
        page.type("see you", Keys.ENTER)
        page.wait_until_idle()
        browser.find_element(By.ID, "learn").click()
        WebDriverWait(browser, PATIENCE_S).until(lambda _: "nats per token" in page.shown("learning"))
    finally:
        server.shutdown()
        server.server_close()


@BOTH_ENGINES
def test_a_sentence_typed_key_by_key_gets_the_interpreters_suggestions(page, small_models, server):
    steps, sentence = steps_of(small_models), "where will we meet, at the station"
    assert page.strip() == expected_words(steps, "", "")
    written = ""
    for letter in sentence:
        page.type(letter)
        written += letter
        typed = re.search("[a-z]*$", written).group()
        assert page.strip() == expected_words(steps, written.removesuffix(typed), typed)
    assert page.shown("counts") == f"{len(sentence)} / {len(sentence)}"
    assert "ms" in page.shown("press")
    where = "in this page" if server.local is None else "in the local process that serves this page"
    assert where in page.shown("engine")


@pytest.mark.parametrize("cell", [Gru(), Lstm(), Stacked(), Transformer(layers=2)], ids=lambda cell: cell.name)
def test_every_other_cell_runs_in_the_page(cell, browser, tmp_path):
    try:
        litert = litert_files()
    except LiteRtUnavailableError as error:
        pytest.skip(f"LiteRT.js is not to be had here: {error}")
    export_small_model(tmp_path, 0, ("int8",), replace(SHAPE, cell=cell))
    server = KeyboardServer([open_model(tmp_path)], litert, "as asked for", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page, steps = Page(browser, server), steps_of([tmp_path])
        for finished, typed in (("", ""), ("where", ""), ("where will", ""), ("where will we", "me")):
            page.type(Keys.BACKSPACE * len(page.text), f"{finished} ".lstrip(), typed)
            assert page.strip() == expected_words(steps, finished, typed)
    finally:
        server.shutdown()
        server.server_close()


def test_the_tokeniser_and_every_test_vector_hold_in_the_page(page, small_models):
    vectors = json.loads((small_models[0] / "model" / "test_vectors.json").read_text())["vectors"]
    odd = ["", "'tis o'clock' 'n'", "A\u0301e\u0301", "1,000.5", "\U0001f1eb\U0001f1f7\U0001f1e9", "3\ufe0f\u20e3 a_b"]
    texts = [vector["text"] for vector in vectors] + odd
    script = """
        const [texts, done] = [arguments[0], arguments[1]];
        import("/tokeniser.js").then(async ({ tokenise, Vocabulary }) => {
          const vocabulary = new Vocabulary(await (await fetch("/models/0/vocab.txt")).text());
          done(texts.map((text) => [tokenise(text), vocabulary.idsOf(text)]));
        });"""
    found = page.browser.execute_async_script(script, texts)
    assert found == [[tokenize(text), ids_of(text, VOCABULARY)] for text in texts]
    script = """
        const [cases, done] = [arguments[0], arguments[1]];
        Promise.all([import("/keyboard.js"), import("/page.js")]).then(async ([{ best }, { idle, state }]) => {
          await idle();
          const keyboard = state.keyboards[0];
          const found = [];
          for (const { ids, typed } of cases) {
            found.push(best(await keyboard.logitsAfter(ids), keyboard.vocabulary.tokens, typed, new Set()));
          }
          done(found);
        });"""
    found = page.browser.execute_async_script(script, vectors)
    assert found == [vector["expected"]["keyboard.tflite"]["ids"] for vector in vectors]


def test_suggestions_are_accepted_by_key_and_by_tap_and_save_keystrokes(page, small_models):
    steps = steps_of(small_models)
    page.type("tom")
    assert page.strip()[0] == "Tomorrow"
    page.alt("1")
    assert page.strip() == expected_words(steps, "tomorrow", "") and page.text == "Tomorrow "
    assert page.shown("counts") == "9 / 4"
    assert page.shown("saved") == f"{100 * (1 - 4 / 9):.1f} %"
    page.press("full stop")  # takes the place of the space that came with the suggestion
    assert page.text == "Tomorrow."
    page.press("space", "capital h", "e")
    offered = page.strip()
    assert set(offered[:2]) == {"Hello", "Help"}
    page.browser.find_elements(By.CSS_SELECTOR, "#strip-0 button")[offered.index("Hello")].click()
    page.wait_until_idle()
    assert page.text == "Tomorrow. Hello "
    page.press("backspace")
    assert page.text == "Tomorrow. Hello"
    page.type(Keys.ENTER)
    page.wait_until_idle()
    assert page.text == "" and page.shown("sent") == "Tomorrow. Hello"
    assert "could have saved" in page.shown("possible-0")


def test_capitals_stay_and_blocked_words_never_show(page, small_models):
    page.type("Hel")
    assert set(page.strip()[:2]) == {"Hello", "Help"}
    page.type(Keys.BACKSPACE * 3, "da")
    assert "damn" not in page.strip()
    logits, _ = steps_of(small_models).read(np.array(ids_of("", VOCABULARY), np.int32))
    assert VOCABULARY.tokens[int(completions(logits[0], "da", VOCABULARY)[0])] == "damn"  # the model would


def test_a_punctuation_mark_is_offered_and_takes_the_place_of_the_space(page, small_models):
    steps, strip = steps_of(small_models), Strip(VOCABULARY, BLOCKED)

    def mark_after(text):
        logits, _ = steps.read(np.array(ids_of(text, VOCABULARY), np.int32))
        return strip.mark(logits[-1], tokenize(text))

    words = [token for token in VOCABULARY.tokens[FIRST_WORD:] if token.isalpha()]
    offered = {word: mark for word in words if (mark := mark_after(word))}
    without = next(word for word in words if word not in offered)
    button = page.browser.find_element(By.CSS_SELECTOR, "#strip-0 button.mark")
    page.type(f"{without} ")
    page.wait_until_idle()
    assert button.text == "" and not button.is_enabled()
    page.type(Keys.BACKSPACE * (len(without) + 1))
    word, mark = next(iter(offered.items()))
    page.type(f"{word} ")
    page.wait_until_idle()
    assert button.text == mark
    button.click()
    page.wait_until_idle()
    assert page.text == f"{word}{mark} " and button.text == ""  # no mark behind a mark


def test_own_words_are_suggested_and_forgotten(page, small_models):
    steps, personal = steps_of(small_models), PersonalWords()
    for _ in range(6):
        page.type("hello zuzu", Keys.ENTER)
        personal.remember(["hello", "zuzu"])
    page.type("hello ")
    assert page.strip() == expected_words(steps, "hello", "", personal)
    page.type("zu")
    assert page.strip() == expected_words(steps, "hello", "zu", personal) and page.strip()[0] == "zuzu"
    page.type(Keys.BACKSPACE * 8)
    for _ in range(2):
        page.type("hello Zorro", Keys.ENTER)
    page.type("hello zo")
    assert page.strip()[0] == "Zorro"  # as it was written
    page.type(Keys.BACKSPACE * 2, "zu")
    page.browser.find_element(By.ID, "forget").click()
    assert page.strip() == expected_words(steps, "hello", "zu", PersonalWords()) and "zuzu" not in page.strip()


@BOTH_ENGINES
def test_it_learns_from_what_was_typed_and_forgets(page):
    assert not page.browser.find_element(By.ID, "learn").is_enabled()
    page.type("see you")
    before = page.strip()
    page.type(Keys.ENTER)
    for _ in range(8):
        page.type("see you later tonight", Keys.ENTER)
        page.wait_until_idle()
    page.browser.find_element(By.ID, "learn").click()
    WebDriverWait(page.browser, PATIENCE_S).until(lambda _: "nats per token" in page.shown("learning"))
    first, last = (float(part.split()[0]) for part in page.shown("learning").split("loss ")[1].split("→"))
    assert last < first
    page.type("see you ")
    assert page.strip()[0] == "later"
    assert "has learned from you" in page.shown("strip-0") and "has also learned" in page.shown("beyond")
    page.browser.find_element(By.ID, "forget").click()
    page.type(Keys.BACKSPACE)
    assert page.strip() == before and page.shown("beyond") == ""


def test_two_models_side_by_side(page, small_models):
    page.type("we ")
    assert page.strip(0) == expected_words(steps_of(small_models, 0), "we", "")
    assert page.strip(1) == expected_words(steps_of(small_models, 1), "we", "") != page.strip(0)
    choices = page.browser.find_elements(By.CSS_SELECTOR, "#models input")
    choices[1].click()
    wanted = page.strip(1)[0]
    page.alt("1")
    page.wait_until_idle()
    assert page.text == f"we {wanted} "
    assert not any(b.is_enabled() for b in page.browser.find_elements(By.CSS_SELECTOR, "#strip-0 button"))


def test_the_owner_of_a_phone_reads_what_left_it(page):
    story, shown = json.loads(STORY), page.shown("left")
    assert shown.startswith(story["title"])
    for section in story["sections"]:
        assert section["title"] in shown and all(paragraph in shown for paragraph in section["paragraphs"])
        for row in section["rows"]:
            assert " ".join(row) in shown


def test_usable_without_a_mouse_and_with_a_screen_reader(page):
    page.strip()
    for element in page.browser.find_elements(By.CSS_SELECTOR, "button, textarea, input, [role=group], section, ol"):
        if element.tag_name == "button" and not element.is_displayed():
            continue  # a key of another layer
        assert element.accessible_name, element.get_attribute("outerHTML")
    keys = page.browser.find_elements(By.CSS_SELECTOR, "#keys button")
    assert [key.get_attribute("tabindex") for key in keys].count("0") == 1
    reached = []
    for _ in range(12):
        focused = page.browser.switch_to.active_element
        reached.append(focused.get_attribute("data-key") or focused.get_attribute("id") or focused.text)
        focused.send_keys(Keys.TAB)
    assert reached[0] == "text" and "q" in reached and set(page.strip()) <= set(reached)
    keys[0].send_keys(Keys.ARROW_RIGHT)
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert page.browser.switch_to.active_element.get_attribute("data-key") == "s"
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait_until_idle()
    assert page.text == "S"
    WebDriverWait(page.browser, PATIENCE_S).until(lambda _: page.strip()[0] in page.announcement())


def test_nothing_is_asked_of_another_machine(page, server):
    page.type("hello ")
    page.wait_until_idle()
    sent = [json.loads(entry["message"])["message"] for entry in page.browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    hosts = {urlsplit(url).netloc for url in urls if url.startswith(("http", "ws"))}
    assert all(host.startswith("127.0.0.1:") for host in hosts) and urlsplit(server.address).netloc in hosts
    posted = [m for m in sent if m.get("params", {}).get("request", {}).get("method") == "POST"]
    assert not [m for m in posted if m["params"]["request"]["url"].startswith(server.address)]  # no way out
