// What an epoch's metrics look like over all runs: one figure per metric, a line per objective.

import { chart, swatch } from "./charts.js";
import { h } from "./dom.js";
import { capital, isShare, metricTitle, objectiveTitle, percent } from "./words.js";

// What opens with an experiment; of those that an experiment does not measure there is no figure.
export const MAIN = ["train_accuracy", "test_accuracy", "test_fgsm_accuracy", "probe_accuracy", "probe_fgsm_accuracy", "train_adversarial_accuracy"];

export function legend(places, hidden, redraw) {
  return [...places].map(([objective, place]) => h("li", { "data-key": objective }, h("button", {
    type: "button", "aria-pressed": String(!hidden.has(objective)), onclick: () => {
      hidden[hidden.has(objective) ? "delete" : "add"](objective);
      redraw();
    } }, swatch(place), capital(objectiveTitle(objective)))));
}

// Where a run's accuracies became those of one that has learned its attack by heart: `alarms` is that epoch by run.
const alarmed = (runs, name, alarms) => runs.flatMap((run) => pairs(run, name).filter(([epoch]) => epoch === alarms.get(run.run))
  .map(([epoch, value]) => [epoch, value, `seed ${run.seed}, epoch ${epoch}: catastrophic overfitting`, "alarm"]));

export function training({ series, names, places, hidden, single, alarms = new Map() }) {
  const shown = series.runs.filter((run) => !hidden.has(run.objective));
  return names.map((name) => {
    let alone = false;
    const lines = [...places].filter(([objective]) => !hidden.has(objective)).flatMap(([objective, place]) => {
      const runs = shown.filter((run) => run.objective === objective && run.values[name]);
      const called = capital(objectiveTitle(objective));
      const line = (told, { points, band = [] }, of, seeds = [], whose = "") => ({ name: told, short: told, place, points, band, marks: [...marks(name, points, whose), ...(isShare(name) ? alarmed(of, name, alarms) : [])], seeds });
      const mean = over(runs, name);
      if (mean.points.length) return [line(called, mean, runs, single && runs.length > 1 ? runs.map((run) => pairs(run, name)) : [])];
      // What is measured where it is due, as probes are, may be measured in no epoch of all runs: each stands for itself.
      const apart = runs.map((run) => line(`${called}, seed ${run.seed}`, { points: pairs(run, name) }, [run], [], `seed ${run.seed}, `)).filter(({ points }) => points.length);
      alone ||= apart.length > 0;
      return apart;
    });
    const share = isShare(name);
    return chart({ key: name, title: `${metricTitle(name)}${share ? ", %" : ""}${alone ? ", run by run" : ""}`, across: "epoch", share, series: lines, words: lines.map((line) => sentence(line, share)).join(" ") });
  });
}

const pairs = (run, name) => run.epochs.map((epoch, place) => [epoch, run.values[name][place]]).filter(([, value]) => value !== null);

// Mean and one standard deviation over the runs that have an epoch. A mean of ever fewer runs would jump where one ends
// early, so it goes as far as the shortest that is under way.
function over(runs, name) {
  const epochs = new Map();
  for (const run of runs) for (const [epoch, value] of pairs(run, name)) {
    const known = epochs.get(epoch);
    if (known) known.push(value);
    else epochs.set(epoch, [value]);
  }
  const begun = runs.filter((run) => run.epochs.length).length;
  const points = [], band = [];
  for (const [epoch, values] of [...epochs].sort(([one], [other]) => one - other)) {
    if (values.length < begun) continue;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    points.push([epoch, mean]);
    if (values.length > 1) {
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
      band.push([epoch, Math.max(mean - deviation, isShare(name) ? 0 : -Infinity), Math.min(mean + deviation, isShare(name) ? 1 : Infinity)]);
    }
  }
  return { points, band };
}

const highest = (points) => points.reduce((best, each) => (each[1] > best[1] ? each : best));

function marks(name, points, whose) {
  if (!points.length) return [];
  const last = points.at(-1);
  const found = [[...last, `${whose}last epoch, ${last[0]}`, "last"]];
  if (isShare(name)) found.unshift([...highest(points), `${whose}best epoch, ${highest(points)[0]}`, "mark"]);
  return found;
}

function sentence({ name, points, marks }, share) {
  const written = (value) => (share ? `${percent(value)} %` : String(Number(value.toPrecision(4))));
  const [first, last, best] = [points[0], points.at(-1), highest(points)];
  const peak = share ? `, highest ${written(best[1])} at epoch ${best[0]}` : "";
  return `${name}: from ${written(first[1])} at epoch ${first[0]} to ${written(last[1])} at epoch ${last[0]}${peak}.${marks.filter(([, , , kind]) => kind === "alarm").map(([, , told]) => ` ${capital(told)}.`).join("")}`;
}
