// Tables of runs and evaluations.

import { h } from "./dom.js";
import { bar, ENDED, jobTitle, status } from "./jobs.js";
import { age, capital, duration, left, percent, titled } from "./words.js";

const head = (names) => h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name))));

function took(job) {
  if (!job.started_at) return "–";
  return duration(Math.max(1, ((job.finished_at ? Date.parse(job.finished_at) : Date.now()) - Date.parse(job.started_at)) / 1000));
}

const progress = (job) => (job.progress && job.status === "running" ? [bar(job.progress, `${jobTitle(job)}: ${job.progress.phase}`), h("small", {}, capital(titled(job.progress.phase)), " ", left(job.progress))] : job.status_detail ?? "");

// Pause, resume, cancel or retry one job, as it stands; an evaluation by itself that has ended can go.
function controls(job, act) {
  const at = `/v1/${job.object}s/${job.id}`;
  const words = { pause: "It is being paused.", resume: "It goes on.", cancel: "It is being cancelled.", retry: "It is done again." };
  const able = { queued: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["retry"], cancelled: ["retry"] }[job.status] ?? [];
  if (job.retried_by) return null;
  const gone = job.object === "evaluation" && !job.experiment && ENDED.has(job.status)
    ? h("button", { type: "button", class: "quiet small danger", "aria-label": `Delete the evaluation of ${jobTitle(job)}`, "data-key": "delete",
      onclick: () => act({ method: "DELETE", at, words: "The evaluation is deleted.", ask: "Delete this evaluation and what it measured? This cannot be undone." }) }, "Delete") : null;
  return [able.map((what) => h("button", { type: "button", class: "quiet small", "aria-label": `${capital(what)} ${jobTitle(job)}`, "data-key": what, onclick: () => act({ at: `${at}/${what}`, words: words[what] }) }, capital(what))), gone];
}

export function runTable(runs, act) {
  const rows = [...runs].reverse().map((run) => h("tr", { "data-key": run.id },
    h("th", { scope: "row" }, jobTitle(run), h("small", { class: "id" }, run.id)), h("td", { class: "nowrap" }, status(run)),
    h("td", { class: "name" }, progress(run)), h("td", { class: "nowrap" }, took(run)), h("td", { class: "nowrap" }, run.device ?? "–"),
    h("td", {}, h("a", { href: `#/checkpoints?run=${run.id}` }, "Checkpoints"), " ", h("a", { href: `#/compare?run=${run.id}`, "aria-label": `Compare ${jobTitle(run)}` }, "Compare")), h("td", { class: "nowrap" }, controls(run, act))));
  return [head(["Run", "Status", "Progress", "Took", "On", "See", "Do"]), h("tbody", {}, rows)];
}

export function evaluationTable(evaluations, act) {
  const rows = evaluations.map((each) => h("tr", { "data-key": each.id },
    h("th", { scope: "row" }, h("a", { href: `#/checkpoints/${each.checkpoint}` }, jobTitle(each)), h("small", { class: "id" }, each.id)),
    h("td", { class: "nowrap" }, status(each)),
    h("td", { class: "attacks" }, each.attacks.map((attack) => attackLine(each, attack))),
    h("td", { class: "nowrap" }, each.outcome ? `${percent(each.outcome.natural.value)} %` : "–"),
    h("td", { class: "nowrap" }, age(each.created_at)),
    h("td", {}, each.outcome ? [h("a", { href: `#/attack?evaluation=${each.id}` }, "Lost images"), " ", h("a", { href: `/v1/evaluations/${each.id}/images?format=csv`, download: `${each.id}.csv` }, "CSV")] : null), h("td", { class: "nowrap" }, controls(each, act))));
  return [head(["Checkpoint", "Status", "Attacks", "Natural", "Age", "Images", "Do"]), h("tbody", {}, rows)];
}

function attackLine(evaluation, attack) {
  const found = evaluation.outcome?.attacks.find((_, place) => evaluation.attacks[place]?.label === attack.label);
  const told = found ? `${percent(found.accuracy.value)} %` : attack.status === "queued" ? "waits" : `${attack.completed} of ${attack.total} images`;
  return [h("span", { class: "nowrap" }, h("span", { class: "soft" }, attack.label), " ", told), " "];
}
