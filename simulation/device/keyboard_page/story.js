// What left one phone of the run, told to its owner; the words are those of scripts/explain_phone.py, from the server.

import { copyButton } from "./about.js";

/** Of the story that an address opens, the part behind `#`; null: it opens none, and none can be read. */
export async function fetchStory(hash) {
  const key = hash.slice(1);
  if (!key) return null;
  const answer = await fetch(`/phone/${encodeURIComponent(key)}.json`);
  return answer.ok ? await answer.json() : null; // of a server that was started anew
}

/** What is said where no phone was named, {text, command}: how to name one, or why nothing can be told. */
export function withoutStory({ phone_command: command }) {
  if (command === null) {
    return { text: "The records of the run are not in this folder, so what left a phone cannot be told.", command };
  }
  return { text: "To read here what left one phone of this run, start the page with the phone's name:", command };
}

/** All of a story, of a phone of the run of that name. */
export function buildStory(into, story, run) {
  into.replaceChildren(element("p", `${story.title}, in the run ${run}`, "of"), ...story.sections.map(section));
}

/** How a story is had. */
export function buildWithout(into, about, say) {
  const { text, command } = withoutStory(about);
  into.replaceChildren(element("p", text));
  if (command === null) return;
  const line = document.createElement("p");
  line.append(element("code", command), " ", copyButton(() => command, "Copy the command", say));
  into.append(line);
}

function section({ title, paragraphs, rows }) {
  const found = document.createElement("section");
  found.setAttribute("aria-label", title);
  found.append(element("h3", title), ...paragraphs.map((one) => element("p", one)));
  if (rows.length) found.append(table(title, rows));
  return found;
}

function table(title, [headings, ...rows]) {
  const [around, found, body] = ["div", "table", "tbody"].map((tag) => document.createElement(tag));
  Object.assign(around, { className: "scroll", tabIndex: 0 });
  around.setAttribute("role", "region");
  around.setAttribute("aria-label", title);
  const head = found.createTHead().insertRow();
  for (const heading of headings) {
    const cell = element("th", heading);
    cell.scope = "col";
    head.append(cell);
  }
  for (const row of rows) body.insertRow().append(...row.map((one) => element("td", one)));
  found.append(body);
  around.append(found);
  return around;
}

function element(tag, text, name) {
  const found = document.createElement(tag);
  found.textContent = text;
  if (name) found.className = name;
  return found;
}
