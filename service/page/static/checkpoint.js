// One checkpoint: where it comes from, what was measured of it, and more to measure.

import { actor, leadTo, submitted } from "./actions.js";
import { all, fresh, get, poster, query } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { averaged, beside, newest, numeric } from "./evaluating.js";
import { ENDED } from "./jobs.js";
import { evaluationTable } from "./runs.js";
import { matrices, transferTable } from "./transfers.js";
import { age, bytes, counted, isShare, metricTitle, objectiveOf, objectiveTitle, percent, titled } from "./words.js";

export const title = "Checkpoint";
// What is typed is still there after a login.
export const keeps = true;

const pairs = (entries) => entries.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);

function facts(one) {
  const { card } = one;
  return [["Network", titled(card.architecture.kind)], ["Data", card.dataset.folder ?? card.dataset.title ?? card.dataset.name], ["Images", card.image_shape.join(" × ")],
    ["Input", card.normalisation ? `normalised with mean ${card.normalisation.mean.join(", ")} and deviation ${card.normalisation.std.join(", ")}` : "as it is, in [0, 1]"],
    ["Classes", card.classes.length > 20 ? `${card.classes.length}` : card.classes.join(", ")], ["Size", bytes(one.bytes)],
    ["sha256", h("span", { class: "id" }, one.sha256)], ...(one.owner ? [["Owner", one.owner]] : []), ["Kept", `${age(one.created_at)} ago`]];
}

function metrics(one) {
  const shown = Object.entries(one.metrics).filter(([name]) => !name.endsWith("_n"));
  if (!shown.length) return [["", "It was trained elsewhere; nothing is known of its training."]];
  return shown.map(([name, value]) => [metricTitle(name), isShare(name) ? `${percent(value)} %` : String(Number(value.toPrecision(4)))]);
}

// How its weights came about.
function provenance(one) {
  const { origin } = one.card;
  if (origin.kind === "imported") return [["Trained", "elsewhere"], ["Name", origin.name], ...(origin.source ? [["Said of it", origin.source]] : [])];
  const { training, adversary, objective, seed, dataset } = origin.spec;
  const begun = training.initial_checkpoint;
  return [["Experiment", h("a", { href: `#/experiments/${one.experiment}` }, one.experiment)], ["Run", h("a", { href: `#/checkpoints?run=${one.run}` }, one.run)],
    ["Objective", objectiveOf(objective)], ["Seed", String(seed)], ["Epoch", `${origin.epoch} of ${training.epochs}`], ...(origin.averaged ? [["Weights", `their moving average (decay ${training.averaging.decay})`]] : []),
    ["Trained against", `${titled(adversary.kind)}, ε = ${adversary.eps}`], ["Batches of", String(training.batch_size)], ["Optimiser", titled(training.optimizer.kind)],
    ...(dataset.train_samples ? [["Trained on", counted(dataset.train_samples, "image")]] : []),
    ...(begun ? [["Begun with", h("a", { href: `#/checkpoints/${begun}` }, begun)]] : [])];
}

export async function show({ parts, id, search, signal, title }) {
  const [one, others] = await Promise.all([get(`/v1/checkpoints/${id}`, signal), all("/v1/checkpoints", signal, 300)]);
  const alike = others.filter((each) => each.id !== id && JSON.stringify([each.card.dataset, each.card.image_shape, each.card.classes]) === JSON.stringify([one.card.dataset, one.card.image_shape, one.card.classes]));
  const nameOf = (other) => others.find((each) => each.id === other)?.name ?? other;
  const act = actor(parts.fault, () => refresh());
  const post = poster();
  title(one.name);
  parts.id.textContent = id;
  parts.name.textContent = one.name;
  fill(parts.origin, one.experiment
    ? ["Epoch ", String(one.epoch), " of ", objectiveTitle(one.objective), `, seed ${one.seed}${one.card.origin.averaged ? ", averaged weights" : ""}, in `, h("a", { href: `#/experiments/${one.experiment}` }, "its experiment"), "."]
    : ["Brought from elsewhere", one.card.origin?.source ? `: ${one.card.origin.source}` : "", "."]);
  const gone = () => leadTo(one.run ? `#/checkpoints?run=${one.run}` : "#/checkpoints", signal);
  fill(parts.actions, h("a", { class: "button primary", href: `#/attack?checkpoint=${id}` }, "Put it under attack"),
    h("a", { class: "button", href: `/v1/checkpoints/${id}/weights`, download: "" }, "Download the weights"),
    h("a", { class: "button", href: `#/new?${one.experiment ? `like=${one.experiment}&` : ""}initial=${id}` }, "Train on from it"),
    h("button", { type: "button", class: "danger", onclick: () => act({ method: "DELETE", at: `/v1/checkpoints/${id}`, words: "The checkpoint is deleted.", ask: `Delete “${one.name}” and its weights? This cannot be undone.`, then: gone }) }, "Delete"));
  fill(parts.facts, pairs(facts(one)));
  fill(parts.metrics, pairs(metrics(one)));
  fill(parts.provenance, pairs(provenance(one)));
  parts.elsewhere.hidden = !alike.length;
  fill(parts.others, alike.map((each) => h("option", { value: each.id }, `${each.name} · ${each.id}`)));

  // What both forms ask for: how much, and on how many images.
  const asked = (form) => {
    const given = new FormData(form);
    return { norm: given.get("norm"), samples: Number(given.get("samples")), eps: given.get("eps").split(",").map((each) => each.trim()).filter(Boolean), given };
  };
  const queue = (form, path, body) => submitted(form.querySelector("button"), parts.fault, async () => {
    const made = await post(path, body);
    announce(made.object === "list" ? `${counted(made.data.length, "evaluation")}: queued.` : "The evaluation is queued.");
    await refresh();
  });
  parts.form.onsubmit = () => {
    const { norm, samples, eps, given } = asked(parts.form);
    const attack = averaged({ ...newest(given.get("kind")), norm, eps: eps.length === 1 ? eps[0] : eps }, numeric(given.get("eot")));
    const request = { checkpoint: id, samples, attacks: [attack], ...beside({ corrupted: given.has("corrupted"), sigma: numeric(given.get("sigma")) }, null, samples) };
    if (given.get("masking")) request.masking = { samples: Math.min(200, samples) };
    return queue(parts.form, "/v1/evaluations", request);
  };
  parts.transferForm.onsubmit = () => {
    const { norm, samples, eps } = asked(parts.transferForm);
    return queue(parts.transferForm, "/v1/transfers", { checkpoints: [id, parts.others.value], norm, samples, eps: eps[0] ?? "" });
  };

  let drawn = "";

  const { refresh, keep } = fresh(async (signal) => {
    const evaluations = await all(`/v1/evaluations${query({ checkpoint: id })}`, signal, 200);
    parts.none.hidden = evaluations.length > 0;
    fill(parts.evaluations, evaluations.length ? evaluationTable(evaluations, act) : []);
    const done = evaluations.every((each) => ENDED.has(each.status));
    // The other's numbers are of its own evaluations, which may end after this one's.
    const state = JSON.stringify(evaluations.map((each) => [each.id, each.status]));
    if (state !== drawn || done) {
      const found = await matrices(id, evaluations, signal);
      parts.moved.hidden = !found.length;
      fill(parts.transfers, found.map((each) => transferTable(id, each, nameOf)));
      drawn = state;
    }
    return done ? "done" : null;
  }, signal);
  await keep();
  // Asked to evaluate it, from where it was imported.
  if (search.has("evaluate")) {
    parts.form.scrollIntoView({ block: "center" });
    parts.form.querySelector("select").focus({ preventScroll: true });
  }
}
