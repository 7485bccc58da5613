// The report's numbers as tables and figures, with what speaks against them.

import { chart } from "./charts.js";
import { h } from "./dom.js";
import { accuracyCell, doubtsOf } from "./jobs.js";
import { amount, capital, objectiveTitle, percent, points, range, titled } from "./words.js";

const wide = (label, head, rows) => h("div", { class: "wide", role: "region", "aria-label": label, tabindex: 0, "data-key": label }, h("table", { class: "matrix" }, h("caption", { class: "sr" }, label), head, h("tbody", {}, rows)));

function heading(report, more) {
  return h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Objective"), more.map((each) => h("th", { scope: "col", class: "n" }, each)),
    h("th", { scope: "col", class: "n" }, "Train"), h("th", { scope: "col", class: "n" }, "Natural"),
    report.columns.map((each) => h("th", { scope: "col", class: each.key === report.headline ? "n compared" : "n", title: each.name }, each.heading)),
    h("th", { scope: "col", class: "n", title: "training accuracy minus test accuracy, in points" }, "Gap"), h("th", { scope: "col" }, "In doubt")));
}

const chosen = (selection) => (selection.endsWith("last") ? "last" : "best") + (selection.startsWith("average_") ? ", averaged" : "");

function verdict(row) {
  if (row.masking === "PASS") return h("span", { class: "verdict-pass" }, "no masking found");
  return row.masking === "SUSPECT" ? null : h("span", { class: "soft" }, "masking not looked for");
}

export function accuracies(report) {
  if (!report.rows.length) return [];
  const rows = report.rows.map((row) => h("tr", { "data-key": `${row.checkpoint}${row.selection}` },
    h("th", { scope: "row" }, h("a", { href: `#/checkpoints/${row.checkpoint}` }, capital(objectiveTitle(row.objective)))),
    h("td", { class: "n" }, row.seed), h("td", { class: "n" }, row.epoch, h("small", {}, chosen(row.selection))),
    h("td", { class: "n" }, accuracyCell(row.train_accuracy, row.intervals.train_accuracy)),
    h("td", { class: "n" }, accuracyCell(row.natural_accuracy, row.intervals.natural_accuracy)),
    report.columns.map((each) => h("td", { class: "n" }, accuracyCell(row.accuracies[each.key], row.intervals[each.key]))),
    h("td", { class: "n" }, points(row.generalisation_gap)), h("td", {}, doubtsOf(row.doubts), verdict(row))));
  const single = wide("Each checkpoint", heading(report, ["Seed", "Epoch"]), rows);
  if (report.summaries.every((each) => each.seeds.length < 2)) return [single];
  const means = report.summaries.map((each) => h("tr", { "data-key": each.objective + each.selection },
    h("th", { scope: "row" }, capital(objectiveTitle(each.objective))), h("td", { class: "n" }, each.seeds.length), h("td", { class: "n" }, chosen(each.selection)),
    h("td", { class: "n" }, estimate(each.train_accuracy)), h("td", { class: "n" }, estimate(each.natural_accuracy)),
    report.columns.map((column) => h("td", { class: "n" }, estimate(each.accuracies[column.key]))),
    h("td", { class: "n" }, points(each.generalisation_gap.mean)),
    h("td", {}, report.rows.some((row) => row.objective === each.objective && row.doubts.length) ? h("span", { class: "doubt" }, "some of its rows") : null)));
  return [wide("Means over seeds", heading(report, ["Seeds", "Epoch"]), means), compared(report),
    h("details", { "data-key": "each" }, h("summary", {}, `Each of the ${report.rows.length} checkpoints`), single)];
}

const estimate = (found) => [percent(found.mean), found.interval ? h("small", {}, range(found.interval)) : null];

function compared(report) {
  const told = report.comparisons.filter((each) => each.metric === report.headline);
  if (!told.length) return null;
  return h("ul", { class: "soft", "data-key": "compared" }, told.map((each) => h("li", {},
    `${capital(objectiveTitle(each.objective))} − ${objectiveTitle(each.baseline)}, ${chosen(each.selection)} checkpoints: ${points(each.difference.mean)} points`,
    each.difference.interval ? ` (95 %: ${points(each.difference.interval[0])} to ${points(each.difference.interval[1])})` : "",
    each.p_adjusted === null ? "" : `, p = ${each.p_adjusted.toPrecision(2)} after Holm`, ".")));
}

// Accuracy against the budget, a figure per attack that was made with several.
export function budgets(report) {
  const places = new Map(report.objectives.map((objective, place) => [objective, place]));
  const kinds = new Map();
  for (const column of report.columns) {
    if (column.attacks.length !== 1) continue;
    const kind = `${column.attacks[0].split("@")[0]} ${column.norm}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), column]);
  }
  return [...kinds].filter(([, columns]) => columns.length > 1).map(([kind, columns]) => {
    const sorted = [...columns].sort((one, other) => amount(one.eps) - amount(other.eps));
    const levels = sorted.every((each) => each.norm === "Linf") ? 255 : 1;
    const series = report.summaries.filter((each) => each.selection === report.summaries[0].selection).map((each) => ({
      name: capital(objectiveTitle(each.objective)), place: places.get(each.objective),
      points: [[0, each.natural_accuracy.mean], ...sorted.map((column) => [amount(column.eps) * levels, each.accuracies[column.key].mean])],
      whiskers: sorted.filter((column) => each.accuracies[column.key].interval).map((column) => [amount(column.eps) * levels, ...each.accuracies[column.key].interval]),
      marks: sorted.map((column) => [amount(column.eps) * levels, each.accuracies[column.key].mean, `${column.name}: ${percent(each.accuracies[column.key].mean)} %`, "last"]),
    }));
    const words = series.map((each) => `${each.name}: ${each.points.map(([at, value]) => `${percent(value)} % at ${Number(at.toPrecision(3))}`).join(", ")}.`).join(" ");
    return chart({ key: kind, title: `${sorted[0].heading.split(" ")[0]}: right, %`, across: levels === 255 ? "ε · 255" : "ε", series, words, named: true });
  });
}

export function perClass(report) {
  const column = report.columns.find((each) => each.key === report.headline);
  const strongest = (row) => row.outcome.attacks.filter((each) => column.attacks.includes(`${each.protocol.attack ? label(each) : ""}`)).concat(row.outcome.attacks).at(0);
  const rows = report.rows.filter((row) => row.outcome.confusion && row.outcome.classes.length <= 20);
  if (!rows.length) return null;
  const { classes } = rows[0].outcome;
  const shareOf = (confusion, at) => [confusion[at][at], confusion[at].reduce((sum, each) => sum + each, 0)];
  const mean = (confusions, at) => {
    const [right, n] = confusions.map((each) => shareOf(each, at)).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
    return n ? Math.round((100 * right) / n) : "–";
  };
  const lines = report.objectives.flatMap((objective) => {
    const of = rows.filter((row) => row.objective === objective);
    if (!of.length) return [];
    const attacked = of.map((row) => strongest(row).confusion);
    return [["natural", of.map((row) => row.outcome.confusion)], ["attacked", attacked]].map(([what, confusions]) => h("tr", {},
      h("th", { scope: "row" }, capital(objectiveTitle(objective)), h("small", {}, what)), classes.map((name, at) => shaded(mean(confusions, at)))));
  });
  return [h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Class"), classes.map((name) => h("th", { scope: "col", class: "n" }, name)))), h("tbody", {}, lines)];
}

// The more of a class is right, the more colour.
const shaded = (share) => h("td", { class: "n heat", "data-level": typeof share === "number" ? Math.round(share / 10) : null }, share);

const label = (outcome) => `${outcome.attack.kind}@${outcome.attack.norm === "Linf" ? "" : `${outcome.attack.norm}:`}${outcome.attack.eps}`;

// How sure each checkpoint is of the natural images, how far their decisions lie and how steep they are.
export function margins(report) {
  const rows = report.rows.filter((row) => row.outcome.margins);
  if (!rows.length) return null;
  const quartiles = (found, scale = 1) => {
    if (!found) return "–";
    const [lower, median, upper] = [found.lower, found.median, found.upper].map((each) => (each === null ? "∞" : Number((each * scale).toPrecision(3)).toString()));
    return [median, h("small", {}, `${lower} – ${upper}`)];
  };
  const lines = rows.map((row) => {
    const found = row.outcome.margins;
    return h("tr", { "data-key": `${row.checkpoint}${row.selection}` }, h("th", { scope: "row" }, capital(objectiveTitle(row.objective))),
      h("td", { class: "n" }, row.seed), h("td", { class: "n" }, row.epoch, h("small", {}, chosen(row.selection))),
      h("td", { class: "n" }, percent(found.confidence)), h("td", { class: "n" }, accuracyCell(found.given_up.value, found.given_up.interval)),
      h("td", { class: "n" }, quartiles(found.margins)), h("td", { class: "n" }, quartiles(found.slopes, 1 / 255)), h("td", { class: "n" }, quartiles(found.distances, 255)));
  });
  const numbers = ["Seed", "Epoch", "Confidence", "Given up", "Margin", "Slope", "Distance"];
  return [h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Objective"), numbers.map((each) => h("th", { scope: "col", class: "n" }, each)))), h("tbody", {}, lines)];
}

export function equals(report) {
  const cell = (at) => [`${percent(at.test_accuracy)} / ${percent(at.test_fgsm_accuracy)}`, h("small", {}, `epoch ${at.epoch}`)];
  const found = report.equal_accuracies.filter((each) => each.baseline_at);
  const rows = found.map((each, place) => h("tr", { "data-key": String(place) },
    h("th", { scope: "row" }, capital(objectiveTitle(each.objective)), h("small", {}, `seed ${each.seed}, ${each.moments.map(titled).join(" and ")}`)),
    h("td", {}, titled(each.equal_in)), h("td", { class: "n" }, cell(each.objective_at)), h("td", { class: "n" }, cell(each.baseline_at)),
    h("td", { class: "n" }, points(each.objective_at.test_fgsm_accuracy - each.baseline_at.test_fgsm_accuracy))));
  const without = report.equal_accuracies.length - found.length;
  if (without) rows.push(h("tr", { "data-key": "without" }, h("td", { class: "soft", colspan: 5 }, `In ${without} of ${report.equal_accuracies.length} pairs the first objective was never as accurate, or the other not yet; they say nothing.`)));
  return [h("thead", {}, h("tr", {}, ["Objective", "Equal in"].map((each) => h("th", { scope: "col" }, each)),
    ["Its test / FGSM", `${capital(objectiveTitle(report.objectives[0] ?? ""))}'s`, "FGSM, points"].map((each) => h("th", { scope: "col", class: "n" }, each)))), h("tbody", {}, rows)];
}
