// One checkpoint's row and column of the transfer matrices that have been measured.

import { get, query } from "./api.js";
import { h } from "./dom.js";
import { doubtsOf } from "./jobs.js";
import { percent, range } from "./words.js";

const MOST_OTHERS = 19;

// The protocols under which it has been shown examples made on others, and whose, from its evaluations.
function protocols(id, evaluations) {
  const found = new Map();
  for (const one of evaluations) {
    for (const { attack } of one.outcome?.attacks ?? []) {
      if (attack.kind !== "transfer") continue;
      const { norm, eps, steps, loss } = attack;
      const key = query({ norm, eps, steps, loss });
      const known = found.get(key) ?? { norm, eps, steps, loss, others: new Set() };
      if (attack.source !== id) known.others.add(attack.source);
      found.set(key, known);
    }
  }
  return [...found.values()].filter((each) => each.others.size);
}

export const matrices = (id, evaluations, signal) => Promise.all(protocols(id, evaluations).map(async ({ others, ...protocol }) => {
  const checkpoint = [id, ...[...others].slice(0, MOST_OTHERS)];
  return { protocol, matrix: await get(`/v1/transfers${query({ checkpoint, ...protocol })}`, signal) };
}));

const cell = (accuracy) => h("td", { class: "n" }, accuracy ? [`${percent(accuracy.value)} %`, h("small", {}, range(accuracy.interval))] : "–");

// How each of both withstands the other's examples; the first line is the white-box attack.
export function transferTable(id, { protocol, matrix }, nameOf) {
  const own = matrix.targets.indexOf(id);
  const title = `PGD, ${protocol.steps} steps on ${protocol.loss.replace("_", "-")}, ${protocol.norm === "Linf" ? "ε" : "L2 ε"} = ${protocol.eps}`;
  const rows = matrix.targets.map((other, place) => h("tr", { "data-key": other },
    h("th", { scope: "row", class: "name" }, place === own ? "itself (the white-box attack)" : h("a", { href: `#/checkpoints/${other}` }, nameOf(other))),
    cell(matrix.cells[own][place]), cell(matrix.cells[place][own]), h("td", {}, doubtsOf(matrix.doubts[other] ?? []))));
  return h("div", { class: "wide", role: "region", "aria-label": `Transfer, ${title}`, tabindex: 0, "data-key": title }, h("table", { class: "matrix" }, h("caption", {}, title),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Other checkpoint"), h("th", { scope: "col", class: "n", title: "The row of the matrix: examples made on this checkpoint" }, "It withstands this one's examples"),
      h("th", { scope: "col", class: "n", title: "The column of the matrix: examples made on the other" }, "This one withstands its examples"), h("th", { scope: "col" }, "In doubt"))), h("tbody", {}, rows)));
}
