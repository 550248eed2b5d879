import assert from "node:assert/strict";
import { test } from "node:test";

import { pageModule } from "./page_modules.js";

const { fetchStory, withoutStory } = await pageModule("story.js");

/** Answers for one address, and remembers all that were asked for. */
function serve(known, story) {
  const asked = [];
  globalThis.fetch = async (path) => {
    asked.push(path);
    return { ok: path === known, json: async () => story };
  };
  return asked;
}

test("an address opens the story that it has the key of, and no other", async () => {
  const story = { title: "What left phone 00", sections: [] };
  const asked = serve("/phone/a_B-9.json", story);
  assert.deepEqual(await fetchStory("#a_B-9"), story);
  assert.equal(await fetchStory("#another"), null);
  assert.equal(await fetchStory("#../models"), null);
  assert.deepEqual(asked, ["/phone/a_B-9.json", "/phone/another.json", "/phone/..%2Fmodels.json"]);
});

test("without a key nothing is asked for", async () => {
  const asked = serve("/phone/.json", {});
  assert.equal(await fetchStory(""), null);
  assert.equal(await fetchStory("#"), null);
  assert.deepEqual(asked, []);
});

test("how to name a phone is said, or that nothing can be told", () => {
  const named = withoutStory({ phone_command: "python x.py run --phone NAME" });
  assert.match(named.text, /start the page with the phone's name:$/);
  assert.equal(named.command, "python x.py run --phone NAME");
  const gone = withoutStory({ phone_command: null });
  assert.match(gone.text, /^The records of the run are not in this folder.*cannot be told\.$/);
  assert.equal(gone.command, null);
});
