// What a service shows once: it stands in the view until that is left, and is kept nowhere.

import { copy } from "./actions.js";

// `note` has a paragraph for words, a field for the secret, and buttons to copy it and to hide it. The function shows one.
export function shownOnce(note, copied) {
  const field = note.querySelector("input");
  const [copier, hider] = note.querySelectorAll("button");
  copier.onclick = () => copy(copier, field, copied);
  hider.onclick = () => {
    field.value = "";
    note.hidden = true;
  };
  return (words, secret) => {
    note.hidden = false;
    note.querySelector("p").textContent = `${words} It is shown this once: copy it now.`;
    field.value = secret;
    field.focus();
    field.select();
  };
}
