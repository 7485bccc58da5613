// One checkpoint: where it comes from, what was measured of it, and more to measure.

import { all, get, keepFresh, query, Refused, send } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { ENDED } from "./jobs.js";
import { evaluationTable } from "./runs.js";
import { age, bytes, isShare, metricTitle, percent, titled } from "./words.js";

export const title = "Checkpoint";

const pairs = (entries) => entries.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);

function facts(one) {
  const { card } = one;
  return [["Network", titled(card.architecture.kind)], ["Data", card.dataset.folder ?? card.dataset.title ?? card.dataset.name], ["Images", card.image_shape.join(" × ")],
    ["Classes", card.classes.length > 20 ? `${card.classes.length}` : card.classes.join(", ")], ["Size", bytes(one.bytes)],
    ["sha256", h("span", { class: "id" }, one.sha256)], ...(one.owner ? [["Owner", one.owner]] : []), ["Kept", `${age(one.created_at)} ago`]];
}

function metrics(one) {
  const shown = Object.entries(one.metrics).filter(([name]) => !name.endsWith("_n"));
  if (!shown.length) return [["", "It was trained elsewhere; nothing is known of its training."]];
  return shown.map(([name, value]) => [metricTitle(name), isShare(name) ? `${percent(value)} %` : String(Number(value.toPrecision(4)))]);
}

function transfers(evaluations) {
  const found = new Map();
  for (const each of [...evaluations].reverse()) {
    for (const outcome of each.outcome?.attacks ?? []) {
      if (outcome.attack.kind === "transfer") found.set(`${outcome.attack.source} ${outcome.attack.norm} ${outcome.attack.eps}`, outcome);
    }
  }
  return [...found.values()].map(({ attack, accuracy }) => [h("a", { href: `#/checkpoints/${attack.source}` }, attack.source), `${percent(accuracy.value)} % at ${attack.norm === "Linf" ? "" : "L2 "}${attack.eps}, of ${accuracy.n}`]);
}

export async function show({ parts, id, signal, title }) {
  const one = await get(`/v1/checkpoints/${id}`, signal);
  title(one.name);
  parts.id.textContent = id;
  parts.name.textContent = one.name;
  fill(parts.origin, one.experiment
    ? ["Epoch ", String(one.epoch), " of ", titled(one.objective), `, seed ${one.seed}, in `, h("a", { href: `#/experiments/${one.experiment}` }, "its experiment"), "."]
    : ["Brought from elsewhere", one.card.origin?.source ? `: ${one.card.origin.source}` : "", "."]);
  fill(parts.actions, h("a", { class: "button primary", href: `#/attack?checkpoint=${id}` }, "Put it under attack"), h("a", { class: "button", href: `/v1/checkpoints/${id}/weights`, download: "" }, "Download the weights"));
  fill(parts.facts, pairs(facts(one)));
  fill(parts.metrics, pairs(metrics(one)));

  parts.form.onsubmit = async (event) => {
    event.preventDefault();
    const given = new FormData(parts.form);
    const eps = given.get("eps").split(",").map((each) => each.trim()).filter(Boolean);
    const request = { checkpoint: id, samples: Number(given.get("samples")), attacks: [{ kind: given.get("kind"), norm: given.get("norm"), eps: eps.length === 1 ? eps[0] : eps }] };
    if (given.get("masking")) request.masking = { samples: Math.min(200, request.samples) };
    parts.fault.hidden = true;
    try {
      await send("POST", "/v1/evaluations", request);
      announce("The evaluation is queued.");
      await refresh();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      parts.fault.textContent = [error.message, ...error.errors.map((each) => `${each.pointer}: ${each.message}`)].join(" ");
      parts.fault.hidden = false;
    }
  };

  async function refresh() {
    const evaluations = await all(`/v1/evaluations${query({ checkpoint: id })}`, signal, 200);
    parts.none.hidden = evaluations.length > 0;
    fill(parts.evaluations, evaluations.length ? evaluationTable(evaluations) : []);
    const rows = transfers(evaluations);
    parts.moved.hidden = !rows.length;
    fill(parts.transfers, pairs(rows));
    return evaluations.every((each) => ENDED.has(each.status)) ? "done" : null;
  }
  await keepFresh(refresh, signal);
}
