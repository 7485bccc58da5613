// A token exchanged for a session, which the browser keeps where no script can read it.

import { send, Told } from "./api.js";

export const title = "Log in";

export async function show({ parts }) {
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
}
