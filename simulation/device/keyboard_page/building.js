// Builds what there is one of for each model: a strip of suggestions, and a choice.

import { measured } from "./about.js";

/** The strip of each model: three words and a punctuation mark. */
export function buildStrips(into, keyboards, { accept, acceptMark }) {
  for (const [place, { about }] of keyboards.entries()) {
    const strip = document.createElement("div");
    strip.className = "strip";
    strip.id = `strip-${place}`;
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", `Suggestions of ${about.name}`);
    const name = document.createElement("div");
    name.className = "name";
    strip.append(name);
    for (let number = 0; number < 3; number++) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "word", disabled: true });
      button.addEventListener("click", () => accept(number));
      if (place === 0) button.title = `Alt+${number + 1}`;
      strip.append(button);
    }
    const end = document.createElement("button");
    Object.assign(end, { type: "button", className: "mark", disabled: true });
    end.setAttribute("aria-label", "Suggested punctuation mark");
    end.addEventListener("click", acceptMark);
    strip.append(end);
    into.append(strip);
  }
}

/** A choice for each model; `choose(place)` is called with the one that is taken. */
export function buildModels(into, keyboards, choose) {
  for (const [place, { about }] of keyboards.entries()) {
    const label = document.createElement("label");
    const choice = document.createElement("input");
    Object.assign(choice, { type: "radio", name: "model", value: place, checked: place === 0 });
    choice.addEventListener("change", () => choose(place));
    const [run, here] = [document.createElement("small"), document.createElement("small")];
    run.textContent = measured(about);
    here.id = `possible-${place}`;
    label.append(choice, ` ${about.name}`, run, here);
    into.append(label);
  }
}
