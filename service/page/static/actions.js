// What a reader asks of something on the service: sent, said, and shown; what is refused stands where the view says.

import { send, Told } from "./api.js";
import { announce } from "./dom.js";

const COPIED_MS = 2500;

// Do the work; a refusal or a lost network is told in the view, and the rest is a fault of the page.
export async function tried(fault, work) {
  fault.hidden = true;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Told)) throw error;
    const more = (error.errors ?? []).filter((each) => !error.message.includes(each.message));
    fault.textContent = [error.message, ...more.map((each) => `${each.pointer}: ${each.message}`)].join(" ");
    fault.hidden = false;
    // It stands at the view's top, and what was clicked may be far below.
    fault.scrollIntoView({ block: "nearest" });
    return null;
  }
}

// Buttons whose work is going on, each with whether it takes anything after that.
const working = new WeakMap();

// Let a button take something, or nothing; one whose work is going on does so once that is done.
export function enable(button, yes) {
  if (working.has(button)) working.set(button, yes);
  else button.disabled = !yes;
}

// Do what a form asks for, once however fast it is sent again: its button takes nothing until that is done.
export async function submitted(button, fault, work) {
  if (button.disabled) return null;
  const isFocused = document.activeElement === button;
  working.set(button, true);
  button.disabled = true;
  try {
    return await tried(fault, work);
  } finally {
    button.disabled = !working.get(button);
    working.delete(button);
    // A browser takes the focus from what takes nothing, and the frame takes it when the view is there at last; a form that is done with is begun again at its first field.
    if (isFocused && document.activeElement.contains(button)) (button.disabled ? button.form.querySelector("input") : button).focus({ preventScroll: true });
  }
}

// Go on to another view, unless the reader has gone to one.
export function leadTo(hash, signal) {
  if (!signal.aborted) location.hash = hash;
}

// A function for the buttons of a view: it asks whether the reader means it, sends, says so and looks again.
export function actor(fault, refresh) {
  const going = new Set();
  return async ({ method = "POST", at, words, ask = null, then = refresh }) => {
    const what = `${method} ${at}`;
    if (going.has(what) || (ask && !window.confirm(ask))) return;
    going.add(what);
    try {
      await tried(fault, async () => {
        await send(method, at);
        announce(words);
        await then();
      });
    } finally {
      going.delete(what);
    }
  };
}

// What a field holds, on the clipboard. A browser gives that to pages of its own machine or over TLS alone; of others it
// copies what is selected, or the reader does.
export async function copy(button, field, words) {
  if (field.select) field.select();
  else getSelection().selectAllChildren(field);
  const given = navigator.clipboard?.writeText(field.value ?? field.textContent).then(() => true, () => false);
  const done = (await given) || document.execCommand("copy");
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  announce(done ? words : "It is selected: press Ctrl+C to copy it.");
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}
