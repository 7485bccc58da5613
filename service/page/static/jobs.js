// A job's state as several views show it.

import { h, s } from "./dom.js";
import { capital, counted, left, objectiveTitle, percent, range, titled } from "./words.js";

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

export function status(job) {
  // That somebody wanted it so needs no saying.
  const reason = job.status_reason && job.status_reason !== "user" ? ` (${titled(job.status_reason)})` : "";
  return h("span", { class: `status ${job.status}`, title: job.status_detail ?? null }, `${job.status}${reason}`);
}

export function bar(progress, label) {
  const share = progress.total ? progress.completed / progress.total : 0;
  return h("progress", { max: 1, value: share.toFixed(4), "aria-label": label });
}

export const jobTitle = (job) =>
  job.object === "run" ? `${capital(objectiveTitle(job.objective))}, seed ${job.seed}` : job.checkpoint_name || job.checkpoint;

export function card(job, of) {
  const { progress } = job;
  return h("article", { class: "job", "data-key": job.id },
    h("h3", {}, of ? h("a", { href: `#/experiments/${of.id}` }, of.name) : jobTitle(job)),
    of ? h("div", {}, jobTitle(job)) : null,
    progress ? bar(progress, `${jobTitle(job)}: ${progress.phase}`) : null,
    h("div", { class: "over" },
      h("span", {}, progress ? `${capital(titled(progress.phase))} · ${progress.completed.toLocaleString("en")} of ${counted(progress.total, progress.unit.replace(/s$/, ""))}` : "Starting"),
      h("span", {}, left(progress))));
}

// Runs that are trained as one program share a slot; each help with another's evaluation takes one.
export const slotsTaken = (worker) => new Set(worker.jobs.map((job) => job.fused_with ?? job.id)).size + worker.helps.length;

// Of slots that are taken, those that give way as soon as a job waits.
export const ofThemHelping = (...workers) => {
  const helping = workers.reduce((sum, one) => sum + one.helps.length, 0);
  return helping ? `, ${helping} of them helping` : "";
};

// An accuracy with its interval, on a scale from 0 to 100 %.
export function interval(accuracy) {
  const [low, high] = accuracy.interval;
  const x = (value) => (3 + value * 90).toFixed(1);
  return s("svg", { class: "interval", viewBox: "0 0 96 14", "aria-hidden": "true" },
    s("path", { class: "scale", d: "M3 7H93" }),
    s("path", { class: "whisker", d: `M${x(low)} 7H${x(high)}` }),
    s("circle", { class: "dot", cx: x(accuracy.value), cy: 7, r: 3.5 }));
}

export const accuracyCell = (value, between) => [percent(value), between ? h("small", {}, range(between)) : null];

export function doubtsOf(doubts) {
  if (!doubts.length) return null;
  return h("details", { class: "doubt" }, h("summary", {}, counted(doubts.length, "doubt")), doubts.map((each) => h("p", {}, each.sentence)));
}
