// The on-screen keys: letters with Shift, digits and symbols, emoji. One of the three is shown at a time, above a last
// row that all have.

const LETTERS = ["qwertyuiop", "asdfghjkl'", "zxcvbnm"];
const SYMBOLS = ["1234567890", "@#€&-_()/\"", "$:;+=*%!?"];
const SYMBOL_NAMES = {
  "'": "apostrophe", "@": "at sign", "#": "number sign", "€": "euro", "&": "ampersand", "-": "hyphen",
  "_": "underscore", "(": "left parenthesis", ")": "right parenthesis", "/": "slash", '"': "quotation mark",
  "$": "dollar", ":": "colon", ";": "semicolon", "+": "plus", "=": "equals", "*": "asterisk", "%": "percent",
  "!": "exclamation mark", "?": "question mark",
};
const EMOJI = [
  [
    ["😂", "face with tears of joy"], ["😀", "grinning face"], ["😊", "smiling face"], ["😉", "winking face"],
    ["😍", "face with heart eyes"], ["😘", "face blowing a kiss"], ["😎", "face with sunglasses"],
    ["😜", "winking face with tongue"], ["😏", "smirking face"], ["😇", "smiling face with halo"],
  ],
  [
    ["😢", "crying face"], ["😭", "loudly crying face"], ["😔", "pensive face"], ["😞", "disappointed face"],
    ["😩", "weary face"], ["😡", "pouting face"], ["😱", "screaming face"], ["😳", "flushed face"],
    ["😴", "sleeping face"], ["😐", "neutral face"],
  ],
  [
    ["❤️", "red heart"], ["👍", "thumbs up"], ["👎", "thumbs down"], ["👋", "waving hand"], ["🙏", "folded hands"],
    ["👏", "clapping hands"], ["🎉", "party popper"], ["🔥", "fire"], ["☀️", "sun"],
  ],
];
const DOUBLE_TAP_MS = 400;
const LONG_PRESS_MS = 500;
export const SHIFT = { off: "off", once: "once", lock: "lock" }; // once: the next letter

const key = (label, name, kind = "", value = label) => ({ label, name, kind, value });
const BACKSPACE = key("⌫", "backspace", "wide", "Backspace");

function layers() {
  const [first, second, third] = LETTERS.map((row) => [...row].map((one) => key(one, SYMBOL_NAMES[one] ?? one)));
  const symbols = SYMBOLS.map((row) => [...row].map((one) => key(one, SYMBOL_NAMES[one] ?? one)));
  const emoji = EMOJI.map((row) => row.map(([one, name]) => key(one, name, "emoji")));
  return {
    letters: [first, second, [key("⇧", "shift", "wide", "Shift"), ...third, BACKSPACE]],
    symbols: [symbols[0], symbols[1], [...symbols[2], BACKSPACE]],
    emoji: [emoji[0], emoji[1], [...emoji[2], BACKSPACE]],
  };
}

const LAYER_KEYS = { symbols: ["?123", "digits and symbols"], emoji: ["☺", "emoji"] }; // what each shows, and its name
const BACK = ["ABC", "letters"]; // of the key of the layer that is shown
const LAST_ROW = [
  key(...LAYER_KEYS.symbols, "wide", "symbols"),
  key(...LAYER_KEYS.emoji, "", "emoji"),
  key(",", "comma"),
  key("space", "space", "space", " "),
  key(".", "full stop"),
  key("⏎", "enter", "wide", "Enter"),
];

/**
 * Put the keys into `board`.
 *
 * `press(key)` is called with what each types, or "Backspace", or "Enter", which with a Shift that was tapped is "\n";
 * `say(text)` with what a screen reader should hear. What is returned has `begin()`, for a message that begins, and
 * `written(startsSentence)`, for every change of the text.
 */
export function buildKeys(board, press, say = () => {}) {
  const keys = new Keys(press, say);
  for (const [layer, rows] of Object.entries(layers())) for (const row of rows) board.append(keys.line(row, layer));
  board.append(keys.line(LAST_ROW, "all"));
  keys.show("letters");
  keys.buttons[0].tabIndex = 0; // one stop for Tab, arrow keys within
  board.addEventListener("keydown", (event) => moveBetweenKeys(keys, event));
  return { begin: () => keys.show("letters"), written: (startsSentence) => keys.written(startsSentence) };
}

class Keys {
  constructor(press, say) {
    Object.assign(this, { press, say, lines: [], buttons: [], layer: "letters", shift: SHIFT.off, tapped: -Infinity });
    Object.assign(this, { startsSentence: false, byItself: false }); // whether Shift is on without having been tapped
  }

  line(row, layer) {
    const line = document.createElement("div");
    line.className = "row";
    line.dataset.layer = layer;
    for (const { label, name, kind, value } of row) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: label, className: kind, tabIndex: -1 });
      button.setAttribute("aria-label", name);
      button.dataset.key = value;
      button.addEventListener("click", (event) => this.struck(button, event));
      if (value === "Shift") this.listenToShift(button);
      line.append(button);
      this.buttons.push(button);
    }
    this.lines.push(line);
    return line;
  }

  button(value) {
    return this.buttons.find((one) => one.dataset.key === value);
  }

  struck(button, event) {
    const value = button.dataset.key;
    this.stopAt(button);
    if (value === "Shift") return this.tapShift(event);
    this.tapped = -Infinity; // with a key between them two taps are no double tap
    if (value === "symbols" || value === "emoji") return this.show(this.layer === value ? "letters" : value);
    const shifted = this.shift !== SHIFT.off && this.layer === "letters";
    const isLetter = /^\p{L}$/u.test(value);
    const isEnter = value === "Enter" && !this.byItself; // else nothing could be sent after a full stop
    if (shifted && this.shift === SHIFT.once && (isLetter || isEnter)) this.setShift(SHIFT.off);
    if (shifted && isEnter) return this.press("\n");
    return this.press(shifted && isLetter ? value.toUpperCase() : value);
  }

  /** The one key that Tab reaches. */
  stopAt(button) {
    for (const other of this.buttons) other.tabIndex = other === button ? 0 : -1;
  }

  show(layer) {
    this.layer = layer;
    for (const line of this.lines) line.hidden = ![layer, "all"].includes(line.dataset.layer);
    for (const [name, itself] of Object.entries(LAYER_KEYS)) {
      const [button, [label, spoken]] = [this.button(name), layer === name ? BACK : itself];
      button.textContent = label;
      button.setAttribute("aria-label", spoken);
      button.dataset.leads = layer === name ? "back" : "there";
    }
    if (this.shift !== SHIFT.lock) this.setShift(SHIFT.off);
    this.written(this.startsSentence);
  }

  // Shift: a tap is for one letter, a second one soon after it or a long press is caps lock, a tap ends either. Where a
  // sentence begins it is on for one letter by itself, and a tap ends that as well.

  written(startsSentence) {
    this.startsSentence = startsSentence;
    if (startsSentence && this.shift === SHIFT.off) this.setShift(SHIFT.once, true);
    else if (!startsSentence && this.byItself) this.setShift(SHIFT.off);
  }

  listenToShift(button) {
    const release = () => clearTimeout(this.holding);
    button.addEventListener("pointerdown", () => {
      this.held = false;
      this.holding = setTimeout(() => {
        this.held = true; // the click that follows is part of the long press
        this.setShift(SHIFT.lock);
      }, LONG_PRESS_MS);
    });
    for (const type of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(type, release);
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  tapShift({ detail, timeStamp }) {
    const [held, again] = [this.held, timeStamp - this.tapped < DOUBLE_TAP_MS];
    const wasTapped = this.shift === SHIFT.once && !this.byItself;
    this.held = false;
    this.tapped = held || again ? -Infinity : timeStamp; // a third tap begins anew
    if (held) return;
    if (again || (wasTapped && detail === 0)) this.setShift(SHIFT.lock); // from a keyboard nobody has to be quick
    else this.setShift(this.shift === SHIFT.off ? SHIFT.once : SHIFT.off);
  }

  setShift(shift, byItself = false) {
    const [before, button] = [this.shift, this.button("Shift")];
    Object.assign(this, { shift, byItself });
    button.textContent = shift === SHIFT.lock ? "⇪" : "⇧";
    button.setAttribute("aria-label", shift === SHIFT.lock ? "caps lock" : "shift");
    button.setAttribute("aria-pressed", String(shift !== SHIFT.off));
    button.dataset.shift = shift;
    for (const one of this.buttons) {
      if (!/^\p{Ll}$/u.test(one.dataset.key)) continue;
      const capital = shift !== SHIFT.off;
      one.textContent = capital ? one.dataset.key.toUpperCase() : one.dataset.key;
      one.setAttribute("aria-label", `${capital ? "capital " : ""}${one.dataset.key}`);
    }
    if (shift === SHIFT.lock && before !== shift) this.say("Caps lock on");
    if (before === SHIFT.lock && before !== shift) this.say("Caps lock off");
  }
}

function moveBetweenKeys(keys, event) {
  const lines = keys.lines.filter((line) => !line.hidden).map((line) => [...line.children]);
  const row = lines.findIndex((line) => line.includes(document.activeElement));
  if (row < 0) return;
  const column = lines[row].indexOf(document.activeElement);
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  const line = lines[Math.min(Math.max(row + move[0], 0), lines.length - 1)];
  const next = line[Math.min(Math.max(column + move[1], 0), line.length - 1)];
  keys.stopAt(next);
  next.focus();
}
