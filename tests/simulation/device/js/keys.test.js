import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { pageModule } from "./page_modules.js";

const { buildKeys, SHIFT } = await pageModule("keys.js");

/** As much of an element as keys need; test_keyboard_page.py presses them in a real browser. */
class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], attributes: {}, dataset: {}, listeners: {} });
  }

  append(child) {
    this.children.push(child);
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  addEventListener(type, listener) {
    this.listeners[type] = listener;
  }

  focus() {
    globalThis.document.activeElement = this;
  }

  querySelector(tag) {
    return this.all(tag)[0];
  }

  all(tag) {
    return this.children.flatMap((child) => (child.tag === tag ? [child] : child.all(tag)));
  }
}

let board, keys, pressed, said, told;

beforeEach(() => {
  globalThis.document = { createElement: (tag) => new Element(tag), activeElement: null };
  board = new Element("div");
  [pressed, said] = [[], []];
  told = buildKeys(board, (key) => pressed.push(key), (text) => said.push(text));
  keys = board.all("button");
});

const shownLines = () => board.children.filter((line) => !line.hidden);
const shownKeys = () => shownLines().flatMap((line) => line.children);
const keyOf = (key) => shownKeys().find((button) => button.dataset.key === key);

/** A click of a mouse at a time; `detail` is 0 where the click comes from a keyboard. */
const tap = (key, timeStamp = 0, detail = 1) => keyOf(key).listeners.click({ detail, timeStamp });
const shift = () => keyOf("Shift");
const letters = () => shownKeys().map((button) => button.textContent).filter((label) => /^[a-z]$/iu.test(label));

/** Press a key of the real keyboard; true if the page took it. */
function strike(key) {
  let taken = false;
  board.listeners.keydown({ key, preventDefault: () => (taken = true) });
  return taken;
}

const focused = () => globalThis.document.activeElement.dataset.key;

test("every letter has one key, and each types what it says", () => {
  for (const letter of "abcdefghijklmnopqrstuvwxyz',. ") {
    assert.equal(shownKeys().filter((button) => button.dataset.key === letter).length, 1, letter);
    tap(letter);
  }
  tap("Backspace");
  tap("Enter");
  assert.equal(pressed.join("|"), [..."abcdefghijklmnopqrstuvwxyz',. ", "Backspace", "Enter"].join("|"));
});

test("digits and symbols take the place of the letters, and give it back", () => {
  const before = shownKeys().map((button) => button.dataset.key);
  assert.equal(keyOf("symbols").attributes["aria-label"], "digits and symbols");
  tap("symbols");
  assert.equal(keyOf("symbols").attributes["aria-label"], "letters");
  assert.equal(keyOf("symbols").textContent, "ABC");
  assert.deepEqual(letters(), []);
  for (const symbol of `0123456789?!@#&-()/":;`) tap(symbol);
  tap("Backspace");
  assert.equal(pressed.join(""), `0123456789?!@#&-()/":;Backspace`);
  tap("symbols");
  assert.equal(keyOf("symbols").attributes["aria-label"], "digits and symbols");
  assert.deepEqual(shownKeys().map((button) => button.dataset.key), before);
});

test("each emoji is typed whole, and the other layer is one tap away", () => {
  assert.equal(keyOf("emoji").attributes["aria-label"], "emoji");
  tap("emoji");
  assert.equal(keyOf("emoji").attributes["aria-label"], "letters");
  const emoji = shownKeys().filter((button) => /\p{Extended_Pictographic}/u.test(button.dataset.key));
  assert.ok(emoji.length >= 25);
  assert.equal(new Set(emoji.map((button) => button.dataset.key)).size, emoji.length);
  for (const button of emoji) {
    button.listeners.click({ detail: 1, timeStamp: 0 });
    assert.equal(pressed.at(-1), button.dataset.key);
    assert.equal([...new Intl.Segmenter().segment(button.dataset.key)].length, 1);
  }
  tap("symbols");
  assert.equal(keyOf("emoji").attributes["aria-label"], "emoji");
  assert.equal(keyOf("symbols").attributes["aria-label"], "letters");
  assert.ok(keyOf("7"));
});

test("Shift is for one letter, and its state is shown and told", () => {
  assert.equal(shift().attributes["aria-pressed"], "false");
  tap("Shift");
  assert.equal(shift().attributes["aria-pressed"], "true");
  assert.equal(keyOf("a").textContent, "A");
  assert.equal(keyOf("a").attributes["aria-label"], "capital a");
  tap(".");
  tap("a");
  tap("b");
  assert.deepEqual(pressed, [".", "A", "b"]);
  assert.equal(shift().attributes["aria-pressed"], "false");
  assert.equal(keyOf("a").textContent, "a");
  assert.deepEqual(said, []);
});

test("tapped twice in a moment it is caps lock until it is tapped again", () => {
  tap("Shift", 1000);
  tap("Shift", 1200);
  assert.equal(shift().dataset.shift, SHIFT.lock);
  assert.equal(shift().attributes["aria-label"], "caps lock");
  for (const letter of "ab") tap(letter);
  tap("Shift", 9000);
  tap("c");
  assert.deepEqual(pressed, ["A", "B", "c"]);
  assert.deepEqual(said, ["Caps lock on", "Caps lock off"]);
});

test("a second tap much later takes Shift back", () => {
  tap("Shift", 1000);
  tap("Shift", 3000);
  assert.equal(shift().dataset.shift, SHIFT.off);
  tap("a");
  assert.deepEqual(pressed, ["a"]);
});

test("from a keyboard nobody has to be quick", () => {
  tap("Shift", 1000, 0);
  tap("Shift", 9000, 0);
  assert.equal(shift().dataset.shift, SHIFT.lock);
  tap("Shift", 20000, 0);
  assert.equal(shift().dataset.shift, SHIFT.off);
});

test("held down it is caps lock, and letting go does not end it", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  shift().listeners.pointerdown();
  context.mock.timers.tick(300);
  shift().listeners.pointerup(); // too short: a tap
  context.mock.timers.tick(1000);
  assert.equal(shift().dataset.shift, SHIFT.off);
  shift().listeners.pointerdown();
  context.mock.timers.tick(600);
  shift().listeners.pointerup();
  tap("Shift", 700);
  assert.equal(shift().dataset.shift, SHIFT.lock);
});

test("where a sentence begins Shift comes by itself, for one letter", () => {
  told.written(true);
  assert.equal(shift().attributes["aria-pressed"], "true");
  tap("a");
  assert.equal(shift().attributes["aria-pressed"], "false");
  told.written(false);
  tap("b");
  assert.deepEqual(pressed, ["A", "b"]);
});

test("a tap takes it back, and it comes again with the next sentence only", () => {
  told.written(true);
  tap("Shift", 1000);
  assert.equal(shift().dataset.shift, SHIFT.off);
  tap("a");
  told.written(false);
  told.written(true);
  tap("a");
  assert.deepEqual(pressed, ["a", "A"]);
});

test("Shift that came by itself goes where no sentence begins any more, one that was tapped stays", () => {
  told.written(true);
  told.written(false);
  assert.equal(shift().dataset.shift, SHIFT.off);
  tap("Shift");
  told.written(false);
  assert.equal(shift().dataset.shift, SHIFT.once);
});

test("with Shift that came by itself Enter sends, and with one that was tapped it is a new line", () => {
  told.written(true);
  tap("Enter");
  tap("Shift", 1000, 0);
  tap("Shift", 9000, 0); // off, then on
  tap("Enter");
  assert.deepEqual(pressed, ["Enter", "\n"]);
});

test("Shift that came by itself becomes caps lock by two quick taps, and from a keyboard by three", () => {
  told.written(true);
  tap("Shift", 1000);
  tap("Shift", 1200);
  assert.equal(shift().dataset.shift, SHIFT.lock);
  tap("Shift", 9000);
  told.written(true);
  for (const time of [10000, 11000, 12000]) tap("Shift", time, 0);
  assert.equal(shift().dataset.shift, SHIFT.lock);
  told.written(false);
  assert.equal(shift().dataset.shift, SHIFT.lock); // nothing but a tap ends it
});

test("two taps with a key between them are no double tap", () => {
  tap("Shift", 1000);
  tap("a", 1050);
  tap("Shift", 1100);
  assert.equal(shift().dataset.shift, SHIFT.once);
  tap("b", 1150);
  told.written(true);
  tap("Shift", 1200);
  assert.equal(shift().dataset.shift, SHIFT.off);
});

test("after digits Shift comes by itself if a sentence begins", () => {
  tap("symbols");
  told.written(true);
  tap("symbols");
  tap("a");
  assert.deepEqual(pressed, ["A"]);
});

test("a message that begins has letters, whatever the last one ended with", () => {
  for (const layer of ["symbols", "emoji"]) {
    tap(layer);
    told.begin();
    assert.ok(keyOf("a"));
    assert.match(keyOf(layer).attributes["aria-label"], /symbols|emoji/);
  }
});

test("caps lock stays beside digits, and has no say over them", () => {
  tap("Shift", 0, 0);
  tap("Shift", 0, 0);
  tap("symbols");
  tap("1");
  tap("symbols");
  tap("a");
  assert.deepEqual(pressed, ["1", "A"]);
});

test("Enter with Shift is a new line", () => {
  tap("Shift");
  tap("Enter");
  tap("Enter");
  assert.deepEqual(pressed, ["\n", "Enter"]);
});

test("every key has a name that can be read aloud", () => {
  for (const button of keys) assert.match(button.attributes["aria-label"], /^([a-z ]+|\d)$/);
});

test("Tab reaches one key, and the arrows carry that place along", () => {
  const stops = () => keys.filter((button) => button.tabIndex === 0).map((button) => button.dataset.key);
  assert.deepEqual(stops(), ["q"]);
  keyOf("q").focus();
  assert.ok(strike("ArrowRight"));
  assert.equal(focused(), "w");
  assert.ok(strike("ArrowDown"));
  assert.equal(focused(), "s");
  assert.deepEqual(stops(), ["s"]);
  tap("symbols");
  assert.deepEqual(stops(), ["symbols"]); // s is hidden now
});

test("arrows go over the keys that are shown", () => {
  tap("emoji");
  keyOf("Enter").focus();
  strike("ArrowUp");
  assert.ok(shownKeys().includes(globalThis.document.activeElement));
  assert.ok(strike("ArrowUp"));
  assert.ok(shownKeys().includes(globalThis.document.activeElement));
});

test("arrows stop at the edges", () => {
  keyOf("q").focus();
  strike("ArrowUp");
  strike("ArrowLeft");
  assert.equal(focused(), "q");
  keyOf("p").focus();
  strike("ArrowRight");
  assert.equal(focused(), "p");
  strike("ArrowDown");
  assert.equal(focused(), "'");
  for (let step = 0; step < 5; step++) strike("ArrowDown");
  assert.equal(focused(), "Enter");
});

test("other keys and other places are left to the browser", () => {
  keyOf("q").focus();
  assert.equal(strike("Enter"), false);
  assert.equal(focused(), "q");
  globalThis.document.activeElement = new Element("textarea");
  assert.equal(strike("ArrowRight"), false);
});
