// The on-screen keys.

const ROWS = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/** Put the keys into `board`; `press(key)` is called with what each types, or "Backspace". */
export function buildKeys(board, press) {
  const special = (label, key, kind, name) => ({ label, key, kind, name: name ?? label });
  const letters = (row) => [...row].map((letter) => special(letter, letter, ""));
  const rows = [
    letters(ROWS[0]),
    letters(ROWS[1]),
    [special("'", "'", "", "apostrophe"), ...letters(ROWS[2]), special("⌫", "Backspace", "wide", "backspace")],
    [
      special(",", ",", "wide", "comma"),
      special("?", "?", "", "question mark"),
      special("space", " ", "space"),
      special("!", "!", "", "exclamation mark"),
      special(".", ".", "wide", "full stop"),
    ],
  ];
  for (const row of rows) {
    const line = document.createElement("div");
    line.className = "row";
    for (const { label, key, kind, name } of row) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: label, className: kind, tabIndex: -1 });
      button.setAttribute("aria-label", name);
      button.dataset.key = key;
      button.addEventListener("click", () => press(key));
      line.append(button);
    }
    board.append(line);
  }
  board.querySelector("button").tabIndex = 0; // one stop for Tab, arrow keys within
  board.addEventListener("keydown", (event) => moveBetweenKeys(board, event));
}

function moveBetweenKeys(board, event) {
  const lines = [...board.children].map((line) => [...line.children]);
  const row = lines.findIndex((line) => line.includes(document.activeElement));
  if (row < 0) return;
  const column = lines[row].indexOf(document.activeElement);
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  const line = lines[Math.min(Math.max(row + move[0], 0), lines.length - 1)];
  const next = line[Math.min(Math.max(column + move[1], 0), line.length - 1)];
  document.activeElement.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
