import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { pageModule } from "./page_modules.js";

const { buildKeys } = await pageModule("keys.js");

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

let board, keys, pressed;

beforeEach(() => {
  globalThis.document = { createElement: (tag) => new Element(tag), activeElement: null };
  board = new Element("div");
  pressed = [];
  buildKeys(board, (key) => pressed.push(key));
  keys = board.all("button");
});

const keyOf = (key) => keys.find((button) => button.dataset.key === key);

/** Press a key of the real keyboard; true if the page took it. */
function strike(key) {
  let taken = false;
  board.listeners.keydown({ key, preventDefault: () => (taken = true) });
  return taken;
}

const focused = () => globalThis.document.activeElement.dataset.key;

test("every letter has one key, and each types what it says", () => {
  for (const letter of "abcdefghijklmnopqrstuvwxyz',?!. ") {
    assert.equal(keys.filter((button) => button.dataset.key === letter).length, 1, letter);
    keyOf(letter).listeners.click();
  }
  keyOf("Backspace").listeners.click();
  assert.equal(pressed.join("|"), [..."abcdefghijklmnopqrstuvwxyz',?!. ", "Backspace"].join("|"));
});

test("every key has a name that can be read aloud", () => {
  for (const button of keys) assert.match(button.attributes["aria-label"], /^[a-z ]+$/);
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
});

test("arrows stop at the edges", () => {
  keyOf("q").focus();
  strike("ArrowUp");
  strike("ArrowLeft");
  assert.equal(focused(), "q");
  keyOf("p").focus();
  strike("ArrowRight");
  assert.equal(focused(), "p");
  strike("ArrowDown"); // the next row is shorter
  assert.equal(focused(), "l");
  for (let step = 0; step < 5; step++) strike("ArrowDown");
  assert.equal(focused(), ".");
});

test("other keys and other places are left to the browser", () => {
  keyOf("q").focus();
  assert.equal(strike("Enter"), false);
  assert.equal(focused(), "q");
  globalThis.document.activeElement = new Element("textarea");
  assert.equal(strike("ArrowRight"), false);
});
