// What a reader asks of something on the service: sent, said, and shown; what is refused stands where the view says.

import { Refused, send } from "./api.js";
import { announce } from "./dom.js";

// Do the work; a refusal or a lost network is told in the view, and the rest is a fault of the page.
export async function tried(fault, work) {
  fault.hidden = true;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    const more = (error.errors ?? []).filter((each) => !error.message.includes(each.message));
    fault.textContent = [error.message, ...more.map((each) => `${each.pointer}: ${each.message}`)].join(" ");
    fault.hidden = false;
    return null;
  }
}

// A function for the buttons of a view: it asks whether the reader means it, sends, says so and looks again.
export const actor = (fault, refresh) => ({ method = "POST", at, words, ask = null, then = refresh }) => {
  if (ask && !window.confirm(ask)) return null;
  return tried(fault, async () => {
    await send(method, at);
    announce(words);
    await then();
  });
};
