// What a model file says of itself, in words: what it does not have, what it has, what was measured.

const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)}\u00a0%` : "not measured");
const NOT_STATED = "not stated";
const number = (value) => value.toLocaleString("en");

/** A bound in three digits, rounded up: never below the bound. */
function atMost(bound) {
  const shown = bound.toPrecision(3);
  if (Number(shown) >= bound) return shown;
  const [mantissa, exponent] = bound.toExponential(2).split("e");
  return Number(`${(Number(mantissa) + 0.01).toFixed(2)}e${exponent}`).toPrecision(3);
}

/** The first thing to read of a file, {short, full}: what it does not have, or that the guarantee is its own. */
export function guarantee(about) {
  const lacking = about.not_guaranteed;
  return {
    short: `This file has ${lacking === null ? "a" : "no"} privacy guarantee of its own.`,
    full: lacking ?? `It has ${about.privacy}.`,
  };
}

/** Where the file runs, {short, full}. */
export function runtime({ engine, why_local: why }) {
  if (engine === "litert") {
    return { short: "It runs in this page: nothing you type leaves it.", full: "LiteRT.js runs the exported file." };
  }
  return { short: "It runs in the local process that serves this page.", full: `Why not in the page: ${why}.` };
}

/** {name, value, full} of each fact; `full` is what a short value is short for. */
export function facts(about) {
  const { weights_sha256: sha256, assumed_population: phones, population_rule: why, ...rest } = about.facts;
  const { delta, delta_rule: rule, date, version } = rest;
  return [
    { name: "Weights, SHA-256", value: `${sha256.slice(0, 12)}…`, full: sha256 },
    { name: "Stated guarantee", value: about.privacy },
    { name: "Assumed population", value: phones === null ? NOT_STATED : `${number(phones)} phones: ${why}` },
    { name: "Rule for delta", value: rule === null ? NOT_STATED : `${rule}: ${atMost(delta)}` },
    { name: "Date", value: date ?? NOT_STATED },
    { name: "Made by", value: version === null ? NOT_STATED : `Typefleet ${version}` },
  ];
}

/** What the facts of a file do not tell of the model that suggests now: one sentence, or none. */
export function beyondTheFile(hasLearned) {
  if (!hasLearned) return "";
  return (
    "The model that suggests now has also learned from what you typed in this page: hash and guarantee are those of " +
    "the file as delivered, and cover none of that."
  );
}

/** The facts as rows of a <dl>; `say` is told what a screen reader should hear. */
export const factRows = (about, say) => facts(about).map((fact) => factRow(fact, say));

function factRow({ name, value, full }, say) {
  const [row, term, said] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  said.textContent = value;
  if (full) {
    said.title = full;
    said.append(" ", copyButton(() => full, `Copy all of: ${name}`, say));
  }
  row.append(term, said);
  return row;
}

/** A button that copies a text to the clipboard, and says so. */
export function copyButton(content, name, say) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy", textContent: "Copy" });
  button.setAttribute("aria-label", name);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(content());
      button.textContent = "Copied";
      say("Copied");
    } catch {
      button.textContent = content(); // there is no clipboard here: to be copied by hand
    }
  });
  return button;
}

/** What the run measured on people held out, beside what counting words reaches where the file says it. */
export function measured(about) {
  const { saved, bigram, trigram } = about.keystrokes;
  const said = [bigram, trigram].every(Number.isFinite); // with the summary of its run
  const counting = said ? `, by counting ${percent(bigram)} bigram, ${percent(trigram)} trigram` : "";
  return (
    `On people held out: recall of three suggestions ${percent(about.top3_recall)}; keystrokes saved ` +
    `${percent(saved)} by the file alone${counting}.`
  );
}

/** What the page could have saved of {characters, keystrokes}. */
export function possible({ characters, keystrokes }) {
  return (
    `It could have saved ${percent(1 - keystrokes / characters)} of the keystrokes of what you sent, with all that ` +
    "this page adds: capitals, completion, your own words."
  );
}
