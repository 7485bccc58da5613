// Webhooks: made here, listed with how their deliveries went, deleted.

import { submitted, tried } from "./actions.js";
import { get, send } from "./api.js";
import { announce, h } from "./dom.js";
import { shownOnce } from "./secrets.js";
import { age } from "./words.js";

const EVENTS = { "experiment.ended": "ended experiments", alarm: "alarms" };
const MOST_DELIVERIES = 10;

const told = (events) => events.map((each) => EVENTS[each] ?? each).join(" and ");

function delivery(one) {
  const waits = one.fault ? "to be tried again" : "on its way";
  const how = one.status === "delivered" ? `delivered ${age(one.delivered_at)} ago` : one.status === "failed" ? "given up" : waits;
  const tries = one.attempts > 1 ? `, ${one.attempts} tries` : "";
  return h("li", { "data-key": one.id }, `${told([one.type])}: ${how}${tries}${one.fault ? `. ${one.fault}` : ""}`);
}

// The form that makes one, and the rows of all, to be read with the rest of the view.
export function hooks({ parts, act, refresh }) {
  const show = shownOnce(parts.hookMade, "The secret is copied.");
  // Whose deliveries are looked at.
  let looked = null;
  // Null until they are there.
  let deliveries = null;
  parts.hookForm.onsubmit = ({ submitter }) => submitted(submitter, parts.fault, async () => {
    const given = new FormData(parts.hookForm);
    const made = await send("POST", "/v1/webhooks", { url: given.get("url").trim(), events: given.getAll("event") });
    show(`${made.url} is told of ${told(made.events)} from now on. This is the secret that every request is signed with.`, made.secret);
    parts.hookForm.reset();
    announce("The webhook is made.");
    await refresh();
  });
  const look = (one) => tried(parts.fault, async () => {
    looked = looked === one.id ? null : one.id;
    deliveries = null;
    await refresh();
  });
  const remove = (one) => act({ method: "DELETE", at: `/v1/webhooks/${one.id}`, words: "The webhook is deleted.", ask: `Delete the webhook to ${one.url}? Nothing more is sent there.` });

  async function read(signal) {
    const found = await get("/v1/webhooks?limit=100", signal);
    if (!found.data.some((one) => one.id === looked)) looked = null;
    const wanted = looked;
    if (wanted) {
      const { data } = await get(`/v1/webhooks/${wanted}/deliveries?limit=${MOST_DELIVERIES}`, signal);
      // Another's may be looked at by now.
      if (looked === wanted) deliveries = data;
    }
    return found.data;
  }

  const row = (one) => h("tr", { "data-key": one.id }, h("th", { scope: "row", class: "name" }, one.url, h("small", { class: "id" }, one.id),
    looked === one.id && deliveries ? h("ul", { class: "soft", "data-key": "deliveries" }, deliveries.length ? deliveries.map(delivery) : h("li", {}, "Nothing has happened yet that it is told of.")) : null),
  h("td", {}, told(one.events)), h("td", {}, one.owner ?? "–"), h("td", { class: "nowrap" }, `${age(one.created_at)}`),
  h("td", { class: "nowrap" },
    h("button", { type: "button", class: "quiet small", "aria-expanded": String(looked === one.id), "aria-label": `Deliveries to ${one.url}`, "data-key": "look", onclick: () => look(one) }, "Deliveries"),
    h("button", { type: "button", class: "quiet small danger", "aria-label": `Delete the webhook to ${one.url}`, "data-key": "delete", onclick: () => remove(one) }, "Delete")));
  return { read, row };
}
