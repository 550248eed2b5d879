// The page: keys, suggestions, figures. What is computed is in keyboard.js, what a file says of itself in about.js.

import { beyondTheFile, copyButton, factRows, guarantee, possible, runtime } from "./about.js";
import { PersonalWords, startsSentence } from "./additions.js";
import { buildModels, buildStrips } from "./building.js";
import { openEngine } from "./engines.js";
import { Keyboard } from "./keyboard.js";
import { buildKeys } from "./keys.js";
import { buildStory, buildWithout, fetchStory } from "./story.js";
import { lettersOf, splitTyped, tokenise, tokensAsWritten, Vocabulary } from "./tokeniser.js";

const TRAINING_FILE = "keyboard_train.tflite";
const LEARNING = { epochs: 5, rate: 1.0 };
const at = (id) => document.getElementById(id);
const text = at("text");

export const state = {
  keyboards: [], // one for each model, on its int8 file
  personal: [], // one for each model that has learned here
  active: 0,
  learned: new Set(),
  words: new PersonalWords(), // of the messages sent, in this page's memory only
  taps: 0, // in the message so far
  total: { characters: 0, taps: 0 }, // of sent messages
  sent: [],
  story: null, // of the phone that the address names
  possible: [], // {characters, keystrokes} for each model
  presses: [],
  spaceIsOurs: false, // the last character is the space of a suggestion
  running: Promise.resolve(), // what is being computed
  version: 0, // of the text
  written: null, // the text that the keys know of
};

/** Those that count now, or null. */
const ownWords = () => (at("own").checked ? state.words : null);
const current = (place) => (state.learned.has(place) ? state.personal[place] : state.keyboards[place]);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Do one thing after another: a model file runs one call at a time. */
function enqueue(work) {
  const done = state.running.then(work);
  state.running = done.catch(fail);
  return done;
}

/** Resolves when nothing is left to compute; for tests and for scripts. */
export async function idle() {
  let seen;
  while (seen !== state.running) {
    seen = state.running;
    await seen;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

// Suggestions ------------------------------------------------------------------------------------------------

/** Suggestions of every model for the text as it stands; the time is that of the active one, after a key press. */
function refresh(pressed = false) {
  const version = ++state.version;
  if (text.value !== state.written) { // else a Shift that was taken back would return
    state.written = text.value;
    state.keys.written(startsSentence(state.written));
  }
  figures();
  return enqueue(async () => {
    if (version !== state.version) return; // a later key press has taken over
    const begin = performance.now();
    const active = await current(state.active).strip(text.value, ownWords());
    const taken = performance.now() - begin;
    if (version === state.version) {
      show(state.active, active);
      if (pressed) timed(taken);
    }
    for (const place of state.keyboards.keys()) {
      if (place !== state.active) show(place, await current(place).strip(text.value, ownWords()));
    }
  });
}

function timed(taken) {
  state.presses.push(taken);
  at("press").textContent = `${taken.toFixed(2)} ms`;
  at("median").textContent = `${median(state.presses).toFixed(2)} ms`;
}

function show(place, { places, mark }) {
  const strip = at(`strip-${place}`);
  [...strip.querySelectorAll("button.word")].forEach((button, number) => {
    const { label = "", word = "" } = places[number] ?? {};
    button.textContent = label;
    button.dataset.word = word; // without the quotation marks of what is typed itself
    button.disabled = !word || place !== state.active;
  });
  const end = strip.querySelector("button.mark");
  end.textContent = mark ?? "";
  end.disabled = !mark || place !== state.active;
  if (place === state.active) {
    clearTimeout(state.announcement); // once typing pauses, not at every letter
    const shown = [...strip.querySelectorAll("button.word")].map((b) => b.textContent).filter(Boolean);
    state.announcement = setTimeout(() => say(`Suggestions: ${shown.join(", ")}`), 700);
  }
}

/** What only a screen reader needs to be told. */
function say(words) {
  at("announce").textContent = words;
}

function accept(number) {
  const word = at(`strip-${state.active}`).querySelectorAll("button.word")[number]?.dataset.word;
  if (!word) return;
  text.value = `${splitTyped(text.value).finished}${word} `;
  state.taps += 1;
  state.spaceIsOurs = true;
  text.focus();
  refresh(true);
}

/** The mark goes where the space before it was, and a space follows it. */
function acceptMark() {
  const mark = at(`strip-${state.active}`).querySelector("button.mark").textContent;
  if (!mark) return;
  text.value = `${text.value.trimEnd()}${mark} `;
  state.taps += 1;
  state.spaceIsOurs = true;
  text.focus();
  refresh(true);
}

// Typing -----------------------------------------------------------------------------------------------------

/** One key press, from the screen or from a real keyboard. */
function press(key) {
  if (text.disabled) return;
  if (key === "Enter") {
    send();
    return;
  }
  if (key === "Backspace") {
    text.value = lettersOf(text.value).slice(0, -1).join("");
  } else {
    // "word ." becomes "word." where the space was a suggestion's
    const base = state.spaceIsOurs && ".,?!".includes(key) ? text.value.slice(0, -1) : text.value;
    text.value = base + key;
  }
  state.taps += 1;
  state.spaceIsOurs = false;
  refresh(true);
}

function send() {
  const message = text.value.trim();
  if (!message) return;
  const before = ownWords()?.copy() ?? null; // as they were while it was typed
  state.total.characters += lettersOf(text.value).length;
  state.total.taps += state.taps;
  state.sent.push(message);
  ownWords()?.remember(tokenise(message), tokensAsWritten(message));
  const item = document.createElement("li");
  item.textContent = message;
  at("sent").append(item);
  item.scrollIntoView({ block: "nearest" });
  text.value = "";
  state.taps = 0;
  state.spaceIsOurs = false;
  state.keys.begin(); // the next message begins with a word far more often than with what the last one ended with
  say("Message sent");
  refresh();
  enqueue(() => compare(message, before));
}

/** What each model could have saved on the messages so far, had every suggestion been accepted. */
async function compare(message, personal) {
  for (const [place, sum] of state.possible.entries()) {
    const cost = await current(place).typingCost(message, personal);
    sum.characters += cost.characters;
    sum.keystrokes += cost.keystrokes;
    if (sum.characters) at(`possible-${place}`).textContent = possible(sum);
  }
}

function figures() {
  const characters = state.total.characters + lettersOf(text.value).length;
  const taps = state.total.taps + state.taps;
  at("counts").textContent = `${characters} / ${taps}`;
  // Below nothing are drafts that were thrown away: their keystrokes count, and their characters are not there.
  at("saved").textContent = characters && taps <= characters ? percent(1 - taps / characters) : "–";
  at("send").disabled = !text.value.trim();
  at("learn").disabled = state.busy || !state.sent.length || !hasTraining();
  at("forget").disabled = state.busy || !(state.learned.has(state.active) || state.sent.length);
}

// Learning ---------------------------------------------------------------------------------------------------

const hasTraining = () => state.keyboards[state.active].about.files.includes(TRAINING_FILE);

async function learn(place) {
  const plain = state.keyboards[place];
  if (!state.personal[place]) {
    const file = await state.open(place, TRAINING_FILE);
    state.personal[place] = new Keyboard(plain.about, plain.vocabulary, plain.blocked, file, "infer");
  }
  const begin = performance.now();
  const losses = await state.personal[place].learn(state.sent, LEARNING.epochs, LEARNING.rate);
  const seconds = (performance.now() - begin) / 1000;
  state.learned.add(place);
  at("learning").textContent =
    `Learned from ${state.sent.length} message${state.sent.length > 1 ? "s" : ""}, ${LEARNING.epochs} passes in ` +
    `${seconds.toFixed(1)} s: loss ${losses[0].toFixed(2)} → ${losses.at(-1).toFixed(2)} nats per token.`;
}

async function forget(place) {
  state.words.forget();
  state.sent = [];
  if (state.learned.delete(place)) await state.personal[place].forget();
  at("learning").textContent = "Forgotten: this is the delivered model again, and it knows none of your words.";
}

/** Learn or forget, with the buttons out of reach meanwhile. */
async function change(work) {
  const place = state.active;
  state.busy = true;
  figures();
  await enqueue(() => work(place)).catch(() => {}); // the page has said it
  state.busy = false;
  names();
  refresh();
}

function sayLearning() {
  const { learn_command: command, learn_problem: problem } = state.keyboards[state.active].about;
  const where =
    state.engine === "litert" ? "It stays in this page." : "It stays on this machine, in the local process.";
  at("learning").textContent = hasTraining()
    ? `Send a message, then learn: this fine-tunes ${TRAINING_FILE} on the messages you sent. ${where}`
    : `Learning needs ${TRAINING_FILE}, which a run does not write by itself. ${problem ?? ""} ` +
      "This command writes it; then reload this page:";
  at("how").hidden = hasTraining();
  at("command").textContent = command;
}

// The page itself --------------------------------------------------------------------------------------------

function fail(error) {
  at("engine").textContent = `The model cannot run: ${error.message ?? error}`;
  document.documentElement.dataset.failed = "true";
}

/** What the active file says of itself. */
function sayAbout() {
  const { about } = state.keyboards[state.active];
  const { short, full } = guarantee(about);
  at("guarantee").querySelector("summary").textContent = short;
  at("guarantee").querySelector("p").textContent = full;
  at("guarantee").hidden = false;
  at("facts").replaceChildren(...factRows(about, say));
  if (!state.story) buildWithout(at("left"), about, say);
  sayLearning();
}

function names() {
  for (const [place, { about }] of state.keyboards.entries()) {
    const strip = at(`strip-${place}`);
    strip.classList.toggle("other", place !== state.active);
    strip.querySelector(".name").textContent = about.name + (state.learned.has(place) ? " (has learned from you)" : "");
    strip.querySelector(".name").hidden = state.keyboards.length === 1 && !state.learned.has(place);
  }
  at("beyond").textContent = beyondTheFile(state.learned.has(state.active));
  at("beyond").hidden = !at("beyond").textContent;
}

function choose(place) {
  state.active = place;
  names();
  sayAbout();
  refresh();
}

function listen() {
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  document.addEventListener("keydown", (event) => {
    const number = ["Digit1", "Digit2", "Digit3"].indexOf(event.code);
    if (event.altKey && number >= 0) {
      event.preventDefault();
      accept(number);
    }
  });
  text.addEventListener("beforeinput", (event) => {
    if (state.spaceIsOurs && event.inputType === "insertText" && ".,?!".includes(event.data)) {
      event.preventDefault();
      press(event.data);
    }
  });
  text.addEventListener("input", (event) => {
    state.taps += event.inputType === "insertFromPaste" ? 0 : Math.max([...(event.data ?? " ")].length, 1);
    if (event.inputType === "insertFromPaste") state.taps = Math.max(state.taps, text.value.length);
    state.spaceIsOurs = false;
    refresh(true);
  });
  at("own").addEventListener("change", () => refresh());
  at("how").append(copyButton(() => at("command").textContent, "Copy the command", say));
  at("send").addEventListener("click", send);
  at("learn").addEventListener("click", () => {
    at("learning").textContent = "Learning…";
    change(learn);
  });
  at("forget").addEventListener("click", () => change(forget));
}

async function start() {
  const about = await (await fetch("/models.json")).json();
  state.engine = about.engine;
  const blocked = new Set((await (await fetch("/blocklist.txt")).text()).split("\n").filter(Boolean));
  state.open = await openEngine(about.engine);
  for (const model of about.models) {
    const vocabulary = new Vocabulary(await (await fetch(`/models/${model.place}/vocab.txt`)).text());
    const file = await state.open(model.place, "keyboard.tflite");
    state.keyboards.push(new Keyboard(model, vocabulary, blocked, file, "step"));
    state.possible.push({ characters: 0, keystrokes: 0 });
  }
  state.story = await fetchStory(location.hash);
  if (state.story) buildStory(at("left"), state.story, about.models[0].name);
  buildStrips(at("strips"), state.keyboards, { accept, acceptMark });
  buildModels(at("models"), state.keyboards, choose);
  state.keys = buildKeys(at("keys"), press, say);
  listen();
  at("guarantee").open = matchMedia("(min-width: 48rem)").matches; // else the keys would not be on the screen
  names();
  sayAbout();
  const { short, full } = runtime(about);
  at("engine").textContent = short;
  at("runtime").textContent = full;
  text.disabled = false;
  text.focus();
  await refresh();
  document.documentElement.dataset.ready = about.engine;
}

start().catch(fail);
