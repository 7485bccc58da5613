// A token exchanged for a session, which the browser keeps where no script can read it.

import { get, send, Told } from "./api.js";

export const title = "Log in";

// Who asks already; null where nobody does, for only then is a token asked for; undefined where that is not told.
const known = (signal) => get("/v1/session", signal).catch((error) => {
  if (!(error instanceof Told)) throw error;
  return error.status === 401 ? null : undefined;
});

export async function show({ parts, signal }) {
  parts.form.onsubmit = async () => {
    parts.fault.hidden = true;
    const token = parts.token.value;
    parts.token.value = "";
    try {
      await send("POST", "/v1/session", { token });
      window.dispatchEvent(new CustomEvent("gauntlet:session", { detail: "in" }));
    } catch (error) {
      if (!(error instanceof Told)) throw error;
      parts.fault.textContent = error.message;
      parts.fault.hidden = false;
      parts.token.focus();
    }
  };
  parts.token.focus();
  const session = await known(signal);
  // Then the form stays, with what is being typed in it.
  if (session === undefined) return;
  parts.asked.hidden = session !== null;
  parts.form.hidden = parts.kept.hidden = session?.login === false;
  parts.unasked.hidden = session?.login !== false;
  parts.known.hidden = !session?.login;
  if (session?.login) parts.known.textContent = `You are ${session.owner}, with scope ${session.scope}. Another token logs you in as its owner.`;
}
