// One experiment: the state of the matter, its curves while they grow, the report's numbers with their doubts.

import { actor, leadTo, tried } from "./actions.js";
import { all, fresh, get, latest, query } from "./api.js";
import { legend, MAIN, training } from "./curves.js";
import { fill, h } from "./dom.js";
import { downloads } from "./downloads.js";
import { extension } from "./extend.js";
import { card, ENDED, status } from "./jobs.js";
import { accuracies, budgets, equals, margins, perClass } from "./report.js";
import { evaluationTable, runTable } from "./runs.js";
import { trials } from "./sweep.js";
import { counted, objectiveOf, titled, unlessSwept } from "./words.js";

export const title = "Experiment";

const MOST_BESIDE = 200;

export async function show({ parts, id, signal, title }) {
  const path = `/v1/experiments/${id}`;
  const hidden = new Set();
  let experiment, series, report, runs = [], evaluations = [];
  let drawn = "", warned = false;

  function draw() {
    const places = new Map(series.runs.map((run) => [run.objective, 0]));
    [...places.keys()].forEach((objective, place) => places.set(objective, place));
    const names = parts.everything.checked ? [...MAIN.filter((name) => series.metrics.includes(name)), ...series.metrics.filter((name) => !MAIN.includes(name) && !name.endsWith("_n"))] : MAIN.filter((name) => series.metrics.includes(name));
    fill(parts.legend, series.metrics.length ? legend(places, hidden, draw) : []);
    const alarms = new Map(overfitted().map((curve) => [curve.run, curve.overfitting[0]]));
    fill(parts.curves, training({ series, names, places, hidden, single: parts.seeds.checked, alarms }));
    const seeds = new Set(series.runs.map((run) => run.seed)).size;
    parts.band.textContent = !series.metrics.length ? "" : [seeds > 1 ? `Lines are means over ${seeds} seeds, bands one standard deviation.` : "One seed.", "Rings mark the best epoch, discs the last.",
      alarms.size ? "Triangles mark where catastrophic overfitting began." : ""].join(" ");
  }

  const overfitted = () => (report?.curves ?? []).filter((curve) => curve.overfitting?.length);
  const asked = (signal) => get(`${path}/series${query({ name: parts.everything.checked ? [] : MAIN })}`, signal);
  // The curves are the longest answer, so they are asked for before anything else is known.
  let early = asked(signal);
  early.catch(() => {});

  const drawSeries = latest(async (signal) => {
    const wanted = early ?? asked(signal);
    early = null;
    const found = await wanted;
    // An early answer has no end of its own.
    signal.throwIfAborted();
    series = found;
    draw();
  }, signal);

  function showReport() {
    parts.result.textContent = report.result;
    parts.measured.hidden = !report.rows.length;
    parts.basis.textContent = report.rows.length ? `On ${counted(Math.max(...report.rows.map((row) => row.outcome.natural.n)), "test image")}, 95 % intervals below the numbers. The best checkpoint was chosen on the ${report.selected_on === "test" ? "test images, which flatters it" : "validation images"}.` : "";
    // Opened for a collapse, once: who closes it has read it.
    const open = !warned && overfitted().length > 0;
    warned ||= open;
    fill(parts.warnings, report.warnings.length ? h("details", { class: "note warn", open }, h("summary", {}, counted(report.warnings.length, "thing"), " to know before quoting these numbers"), h("ul", {}, report.warnings.map((each) => h("li", {}, each)))) : []);
    parts.swept.hidden = !report.sweep?.trials.length;
    if (report.sweep) fill(parts.trials, trials(report.sweep));
    fill(parts.table, accuracies(report));
    const curves = budgets(report);
    parts.budgets.hidden = !curves.length;
    fill(parts.eps, curves);
    const classes = perClass(report);
    parts.classes.hidden = !classes;
    if (classes) fill(parts.heat, classes);
    const sure = margins(report);
    parts.sure.hidden = !sure;
    if (sure) fill(parts.margins, sure);
    parts.equal.hidden = !report.equal_accuracies.length;
    fill(parts.equals, equals(report));
  }

  const { refresh, keep } = fresh(async (signal) => {
    let unended;
    [experiment, runs, evaluations, unended] = await Promise.all([get(path, signal), all(`/v1/runs${query({ experiment: id })}`, signal),
      all(`/v1/evaluations${query({ experiment: id })}`, signal), all(`/v1/evaluations${query({ status: ["queued", "running", "paused"] })}`, signal, MOST_BESIDE)]);
    title(experiment.name);
    const done = ENDED.has(experiment.status);
    // Evaluations by themselves of its checkpoints, which may extend the report.
    const kept = new Set(evaluations.map((each) => each.checkpoint));
    const beside = unended.filter((each) => each.experiment !== id && kept.has(each.checkpoint));
    const shown = [...beside, ...evaluations];
    const head = () => frame(parts, { experiment, report, more: [done ? extension({ experiment, evaluations, fault: parts.fault, refresh }) : null, controls(experiment, act, signal)] });
    head();
    const going = [...runs, ...shown].filter((job) => job.status === "running");
    parts.running.hidden = !going.length;
    fill(parts.jobs, going.map((job) => card(job)));
    fill(parts.runs, runTable(runs, act));
    parts.evaluated.hidden = !shown.length;
    fill(parts.evaluations, evaluationTable(shown, act));
    // What has not changed is not asked for again: curves grow by epochs, the report by jobs that end.
    const state = JSON.stringify([runs.map((run) => [run.status, run.progress?.phase, epochs(run)]), shown.map((each) => [each.id, each.status])]);
    if (state !== drawn) {
      await drawSeries();
      report = await get(`${path}/report`, signal);
      showReport();
      // What marks the curves is the report's to tell; without it they stay as they are drawn.
      if (overfitted().length) draw();
      head();
      drawn = state;
    }
    return done && !beside.length ? "done" : null;
  }, signal);

  const act = actor(parts.fault, refresh);
  parts.id.textContent = id;
  parts.seeds.onchange = draw;
  parts.everything.onchange = () => tried(parts.fault, drawSeries);
  await keep();
}

function controls(experiment, act, signal) {
  const at = `/v1/experiments/${experiment.id}`;
  const button = (name, what, kind = null) => h("button", { type: "button", class: kind, onclick: () => act(what), "data-key": name }, name);
  if (ENDED.has(experiment.status)) {
    return button("Delete", { method: "DELETE", at, words: "The experiment is deleted.", ask: `Delete “${experiment.name}” with its runs, checkpoints and evaluations? This cannot be undone.`, then: () => leadTo("#/", signal) }, "danger");
  }
  const going = experiment.status === "paused"
    ? button("Resume", { at: `${at}/resume`, words: "The experiment goes on." })
    : button("Pause", { at: `${at}/pause`, words: "The experiment is being paused." });
  return [going, button("Cancel", { at: `${at}/cancel`, words: "The experiment is being cancelled.", ask: `Cancel what has not ended of “${experiment.name}”? What was trained and measured stays.` }, "danger")];
}

// Epochs that are through; a run tells batches, and some thousand of them are no news.
function epochs(run) {
  const { progress, spec } = run;
  return progress?.phase === "training" && progress.total ? Math.floor((progress.completed / progress.total) * spec.training.epochs) : 0;
}

function frame(parts, { experiment, report, more }) {
  const { spec, progress } = experiment;
  parts.name.textContent = experiment.name;
  fill(parts.state, status(experiment), " ", h("span", { class: "soft" }, `${progress.completed} of ${counted(progress.total, "job")} ended`));
  // What cannot be undone stands last.
  const own = [more].flat(Infinity).filter(Boolean);
  const isGrave = (each) => each.classList.contains("danger");
  fill(parts.actions,
    own.filter((each) => !isGrave(each)),
    h("a", { class: "button", href: `#/new?like=${experiment.id}` }, "Another like it"),
    h("a", { class: "button", href: `#/compare?experiment=${experiment.id}` }, "Compare"),
    downloads(experiment.id, report),
    own.filter(isGrave));
  parts.asked.textContent = `${counted(spec.objectives.length, "objective")} (${spec.objectives.map(objectiveOf).join(", ")}) × ${counted(spec.seeds.length, "seed")} on ${spec.dataset.folder ?? spec.dataset.name}: `
    + `${unlessSwept(spec, "training.epochs", counted(spec.training.epochs, "epoch"), "a swept number of epochs")} of ${unlessSwept(spec, "architecture.kind", titled(spec.architecture.kind), "a swept architecture")} `
    + `on examples of ${unlessSwept(spec, "adversary.kind", titled(spec.adversary.kind), "a swept adversary")} at ${unlessSwept(spec, "adversary.eps", `ε = ${spec.adversary.eps}`, "a swept ε")}, `
    + `batches of ${unlessSwept(spec, "training.batch_size", spec.training.batch_size, "a swept size")}.`;
  parts.spec.textContent = JSON.stringify(spec, null, 2);
}
