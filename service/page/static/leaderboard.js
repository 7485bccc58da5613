// The leaderboard: one list per protocol, each protocol told in words, published numbers as landmarks.

import { tried } from "./actions.js";
import { get, query } from "./api.js";
import { fill, h } from "./dom.js";
import { doubtsOf, interval } from "./jobs.js";
import { counted, percent, range, titled } from "./words.js";

export const title = "Leaderboard";

const MEANINGS = {
  fgsm: "One gradient step of the whole budget. It is weak: a number under FGSM alone says little.",
  pgd: "Many small gradient steps from a random start within the budget.",
  autoattack: "The reference ensemble: an image counts as robust only where none of its parts finds a change that fools the network.",
  noise: "Random points of the budget's ball, no adversary: the control.",
  square: "Sees probabilities only and no gradient, so that it finds what masked gradients hide.",
  transfer: "Examples made on another checkpoint and shown to this one.",
};

function protocol({ protocol: one }) {
  const { attack } = one;
  const norm = attack.norm === "Linf" ? `each pixel may change by at most ${attack.eps} of its range` : `all changes together may be ${attack.eps} long (L2)`;
  return [`${counted(one.n, "test image")} of ${one.dataset}; ${norm}. ${MEANINGS[attack.kind] ?? ""}`,
    h("details", {}, h("summary", {}, "The protocol to the letter"), h("pre", { tabindex: 0 }, JSON.stringify(one, null, 2)))];
}

// The list with the landmarks where their numbers would stand; they have no rank.
function rows({ entries, references }) {
  const found = [...entries.map((each) => ({ value: each.robust.value, row: entry(each) })), ...references.map((each) => ({ value: each.robust, row: landmark(each) }))];
  return found.sort((one, other) => other.value - one.value).map((each) => each.row);
}

const entry = (each) => h("tr", { "data-key": each.checkpoint }, h("td", { class: "n" }, each.rank),
  h("th", { scope: "row", class: "name" }, h("a", { href: `#/checkpoints/${each.checkpoint}` }, each.name)),
  h("td", { class: "nowrap" }, `${percent(each.robust.value)} %`, interval(each.robust), h("small", {}, range(each.robust.interval))),
  h("td", { class: "n" }, percent(each.natural.value), h("small", {}, range(each.natural.interval))),
  h("td", {}, doubtsOf(each.doubts), each.masking === "PASS" ? h("span", { class: "verdict-pass" }, "no masking found") : null, each.masking === null && !each.doubts.length ? h("span", { class: "soft" }, "masking not looked for") : null),
  h("td", {}, h("a", { href: `#/attack?checkpoint=${each.checkpoint}&evaluation=${each.evaluation}` }, "Attack it")));

const landmark = (each) => h("tr", { class: "soft" }, h("td", { class: "n" }, h("span", { title: "published; no rank" }, "·")), h("th", { scope: "row", class: "name" }, each.name, h("small", {}, `published: ${each.source}`)),
  h("td", { class: "nowrap" }, `${percent(each.robust)} %`), h("td", { class: "n" }, percent(each.natural)), h("td", {}, "measured by others, with their code"), h("td", {}));

export async function show({ parts, signal }) {
  let asked = 0;
  async function load() {
    const number = (asked += 1);
    const board = await get(`/v1/leaderboard${query({ attack: parts.attack.value, dataset: parts.dataset.value })}`, signal);
    // Unless another was chosen since.
    if (number !== asked) return null;
    const known = new Set([...parts.dataset.options].map((each) => each.value));
    for (const name of new Set(board.groups.map((each) => each.protocol.dataset))) if (!known.has(name)) parts.dataset.append(h("option", { value: name }, name));
    if (!board.groups.length) return fill(parts.groups, h("p", { class: "empty" }, "Nothing has been measured yet. An experiment evaluates its checkpoints by itself; any other checkpoint can be evaluated from its own view."));
    return fill(parts.groups, board.groups.map((group, place) => h("section", { "data-key": group.protocol.id ?? String(place), "aria-label": group.title },
      h("h2", {}, titled(group.title)), h("div", { class: "soft told" }, protocol(group)),
      h("div", { class: "wide", role: "region", "aria-label": group.title, tabindex: 0 }, h("table", { class: "rows" }, h("thead", {}, h("tr", {},
        [["", "n"], ["Checkpoint"], ["Robust"], ["Natural, %", "n"], ["In doubt"], [""]].map(([name, kind]) => h(name ? "th" : "td", { scope: name ? "col" : null, class: kind ?? null }, name)))), h("tbody", {}, rows(group)))),
      group.count > group.entries.length ? h("p", { class: "soft" }, `The first ${group.entries.length} of ${group.count}.`) : null)));
  }
  for (const field of [parts.attack, parts.dataset]) field.onchange = () => tried(parts.fault, load);
  await load();
}
