// Tokens: made here and shown once, listed, revoked.

import { submitted } from "./actions.js";
import { send } from "./api.js";
import { announce, h } from "./dom.js";
import { shownOnce } from "./secrets.js";
import { age } from "./words.js";

// The form that makes one. The answer is the only one that holds the token.
export function making({ parts, refresh }) {
  const show = shownOnce(parts.made, "The token is copied.");
  parts.tokenForm.onsubmit = ({ submitter }) => {
    const given = new FormData(parts.tokenForm);
    const wanted = Object.fromEntries(["owner", "scope", "name", "expires"].map((name) => [name, given.get(name).trim() || null]));
    return submitted(submitter, parts.fault, async () => {
      const made = await send("POST", "/v1/tokens", wanted);
      show(`The token of ${made.owner}, with scope ${made.scope}.`, made.token);
      parts.tokenForm.reset();
      announce("The token is made.");
      await refresh();
    });
  };
}

const revoke = (one, act) => act({
  method: "DELETE", at: `/v1/tokens/${one.id}`, words: "The token is revoked.",
  ask: `Revoke the token ${one.name ?? one.id} of ${one.owner}? It opens nothing from that moment on.` });

export const tokenRows = (tokens, act) => tokens.map((one) => h("tr", { "data-key": one.id }, h("th", { scope: "row" }, one.owner, h("small", { class: "id" }, one.id)),
  h("td", {}, one.name ?? "–"), h("td", {}, one.scope), h("td", {}, one.last_used_at ? `${age(one.last_used_at)} ago` : "–"), h("td", {}, one.expires_at?.slice(0, 10) ?? "never"),
  h("td", {}, one.revoked_at ? "revoked" : h("button", { type: "button", class: "quiet small danger", "aria-label": `Revoke ${one.name ?? one.id} of ${one.owner}`, onclick: () => revoke(one, act) }, "Revoke"))));
