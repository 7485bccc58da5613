// Workers, usage, and for those who may see them tokens and the audit.

import { actor, submitted } from "./actions.js";
import { fresh, get, Refused, send } from "./api.js";
import { fill, h } from "./dom.js";
import { ofThemHelping, slotsTaken } from "./jobs.js";
import { making, tokenRows } from "./tokens.js";
import { hooks } from "./webhooks.js";
import { age, bytes, counted } from "./words.js";

export const title = "System";

const table = (heads, rows) => [h("thead", {}, h("tr", {}, heads.map((each) => h("th", { scope: "col" }, each)))), h("tbody", {}, rows)];
const owned = (name) => name ?? h("span", { class: "soft" }, "nobody's");
// Who asked, where somebody was asked who they are.
const asker = (name) => name ?? "–";
const ago = (moment) => (moment ? `${age(moment)} ago` : "–");

// What is not this reader's to see is left out.
const allowed = (path, signal) => get(path, signal).catch((error) => {
  if (error instanceof Refused && [403, 404].includes(error.status)) return null;
  throw error;
});

const worker = (one) => h("tr", { "data-key": one.name }, h("th", { scope: "row" }, one.name),
  h("td", { class: "nowrap" }, h("span", { class: `status ${one.alive ? "succeeded" : "failed"}` }, one.alive ? "alive" : `seen ${ago(one.seen_at)}`)),
  h("td", {}, slotsTaken(one) ? `${slotsTaken(one)} of ${counted(one.slots, "slot")}${ofThemHelping(one)}` : `idle, ${counted(one.slots, "slot")}`), h("td", {}, one.device ?? "–"), h("td", {}, one.version), h("td", { class: "nowrap" }, ago(one.started_at)));

export async function show({ parts, signal }) {
  const asked = get("/v1/session", signal);
  const { refresh, keep } = fresh(look, signal);
  const act = actor(parts.fault, refresh);
  // What is sent before its reader is known is sent all the same.
  making({ parts, refresh });
  const webhooks = hooks({ parts, act, refresh });
  const session = await asked;
  parts.logout.hidden = !session.login;
  parts.unasked.hidden = session.login;
  parts.logout.onclick = () => submitted(parts.logout, parts.fault, async () => {
    await send("DELETE", "/v1/session");
    window.dispatchEvent(new CustomEvent("gauntlet:session", { detail: "out" }));
  });
  // Who may only look can make none.
  parts.hookForm.hidden = session.login && session.scope === "read";

  async function look(signal) {
    const session = await asked;
    const isAdmin = session.scope === "admin";
    const [workers, usage, told, tokens, audit] = await Promise.all([get("/v1/workers", signal), get("/v1/usage", signal), webhooks.read(signal), isAdmin ? allowed("/v1/tokens?limit=100", signal) : null, isAdmin ? allowed("/v1/audit?limit=50", signal) : null]);
    const alive = workers.data.filter((one) => one.alive).length;
    const { queue, disk } = usage;
    parts.lead.textContent = `${counted(alive, "worker")} alive; ${queue.waiting ? `${counted(queue.waiting, "job")} waiting, the oldest for ${age(queue.oldest_at)}` : "nothing waits"}. ${session.login ? `You are ${session.owner}, with scope ${session.scope}.` : "No login is wanted here."}`;
    fill(parts.workers, table(["Worker", "State", "Jobs", "Computes on", "Version", "Started"], workers.data.map(worker)));
    parts.room.textContent = disk ? `${bytes(disk.free_bytes)} free of ${bytes(disk.total_bytes)} on the disk of the checkpoints.` : "";
    fill(parts.usage, table(["Owner", "Jobs not ended", "In files", "Uploads today"], usage.owners.map((one) => h("tr", { "data-key": one.owner ?? "-" }, h("th", { scope: "row" }, owned(one.owner)), h("td", {}, one.jobs), h("td", {}, bytes(one.bytes)), h("td", {}, one.uploads_in_a_day)))));
    parts.hookList.hidden = !told.length;
    fill(parts.hooks, table(["URL", "Told of", "Owner", "Age", "Do"], told.map(webhooks.row)));
    parts.forAdmins.hidden = !tokens;
    parts.tokenList.hidden = !tokens?.data.length;
    fill(parts.tokens, table(["Owner", "Name", "Scope", "Last used", "Expires", "Do"], tokenRows(tokens?.data ?? [], act)));
    parts.watched.hidden = !audit?.data.length;
    fill(parts.audit, table(["When", "Who", "What", "Of", "Outcome"], (audit?.data ?? []).map((one) => h("tr", { "data-key": String(one.id) }, h("td", { class: "nowrap" }, h("time", { datetime: one.created_at }, ago(one.created_at))), h("td", {}, asker(one.owner)), h("td", {}, `${one.method} ${one.route}`), h("td", { class: "id" }, one.subject ?? "–"), h("td", {}, one.outcome)))));
  }
  await keep();
}
