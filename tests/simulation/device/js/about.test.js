import assert from "node:assert/strict";
import { test } from "node:test";

import { pageModule } from "./page_modules.js";

const { beyondTheFile, facts, guarantee, measured, possible, runtime } = await pageModule("about.js");

const ABOUT = {
  privacy: "(6.3, 1.9e-07)-differential privacy for each phone",
  not_guaranteed: "The 20 phones per round of this simulation do not have it.",
  top3_recall: 0.324,
  keystrokes: { saved: 0.471, bigram: 0.457, trigram: 0.472 },
  facts: {
    weights_sha256: "ab".repeat(32),
    date: "2026-11-29",
    version: "0.1.0",
    assumed_population: 1315000,
    population_rule: "the 1,315 phones of this run, scaled",
    delta: 1.8585817651117382e-7,
    delta_rule: "population^-1.1, at most 1e-6",
  },
};
const valueOf = (about, wanted) => facts(about).find(({ name }) => name === wanted).value;

test("whether a file has a guarantee is one line of a small phone, and all of it unfolds", () => {
  const [lacking, having] = [guarantee(ABOUT), guarantee({ ...ABOUT, not_guaranteed: null })];
  assert.equal(lacking.short, "This file has no privacy guarantee of its own.");
  assert.equal(lacking.full, ABOUT.not_guaranteed);
  assert.equal(having.short, "This file has a privacy guarantee of its own.");
  assert.equal(having.full, `It has ${ABOUT.privacy}.`);
});

test("where the file runs is one line, and why not in the page is said as well", () => {
  assert.match(runtime({ engine: "litert", why_local: "" }).short, /in this page: nothing you type leaves it/);
  const local = runtime({ engine: "local", why_local: "npm is missing" });
  assert.match(local.short, /in the local process/);
  assert.match(local.full, /^Why not in the page: npm is missing\.$/);
});

test("a hash is short and can be had in full", () => {
  const [hash] = facts(ABOUT);
  assert.deepEqual([hash.value, hash.full], ["abababababab\u2026", "ab".repeat(32)]);
});

test("a model that has learned here is said to be more than its file", () => {
  assert.equal(beyondTheFile(false), "");
  assert.match(beyondTheFile(true), /has also learned from what you typed .*of the file as delivered/);
});

test("delta is never shown below what it is", () => {
  for (const delta of [1.864e-7, 1.866e-7, 9.996e-7, 1e-6, 4.4059e-7, 0.001234, 0.1 + 0.2]) {
    const about = { ...ABOUT, facts: { ...ABOUT.facts, delta } };
    const shown = Number(valueOf(about, "Rule for delta").split(": ").at(-1));
    assert.ok(shown >= delta && shown <= delta * 1.0101, `${shown} for ${delta}`);
  }
});

test("facts are in words, and those that a file lacks are said to be missing", () => {
  assert.equal(valueOf(ABOUT, "Assumed population"), "1,315,000 phones: the 1,315 phones of this run, scaled");
  assert.equal(valueOf(ABOUT, "Rule for delta"), "population^-1.1, at most 1e-6: 1.86e-7");
  assert.equal(valueOf(ABOUT, "Made by"), "Typefleet 0.1.0");
  const none = { assumed_population: null, delta_rule: null, date: null, version: null };
  const earlier = { ...ABOUT, facts: { ...ABOUT.facts, ...none } };
  for (const name of ["Assumed population", "Rule for delta", "Date", "Made by"]) {
    assert.equal(valueOf(earlier, name), "not stated");
  }
});

test("keystrokes saved stand beside what counting reaches where a file says it", () => {
  for (const said of ["32.4\u00a0%", "47.1\u00a0% by the file alone", "45.7\u00a0% bigram", "47.2\u00a0% trigram"]) {
    assert.ok(measured(ABOUT).includes(said), said);
  }
  const alone = measured({ ...ABOUT, keystrokes: { saved: 0.471, bigram: null, trigram: null } });
  assert.ok(alone.endsWith("47.1\u00a0% by the file alone.") && !alone.includes("counting"));
});

test("what could have been saved is a share of what was sent", () => {
  assert.match(possible({ characters: 8, keystrokes: 2 }), /could have saved 75\.0\u00a0% of the keystrokes/);
});
