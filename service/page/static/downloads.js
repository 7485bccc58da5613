// Everything that a report can be had as.

import { h } from "./dom.js";
import { budgets } from "./report.js";

const FORMATS = { html: "A page with figures", md: "Markdown", csv: "CSV, a line per row and attack", tex: "LaTeX tables", json: "JSON, all of it" };
// A figure with nothing to draw in it is not offered.
const FIGURES = [
  ["training", "Accuracy by epoch", (report) => report.curves.some((each) => each.epochs.length)],
  ["gap", "Generalisation gap by epoch", (report) => report.curves.some((each) => each.epochs.length)],
  ["eps", "Accuracy against ε", (report) => budgets(report).length],
  ["cost", "Time of training and robust accuracy", (report) => report.rows.length],
  ["certified", "Certified accuracy by radius", (report) => report.rows.some((row) => row.outcome.smoothing)],
  ["confusion", "What each class is taken for", (report) => report.rows.some((row) => row.outcome.confusion)],
];

const link = (href, words) => h("a", { href, target: "_blank", rel: "noopener" }, words);

export function downloads(id, report) {
  const drawn = FIGURES.filter(([, , isThere]) => report && isThere(report));
  return h("details", { class: "menu", "data-key": "downloads" }, h("summary", { class: "button" }, "Download the report"), h("div", {},
    Object.entries(FORMATS).map(([format, words]) => link(`/v1/experiments/${id}/report?format=${format}`, words)),
    drawn.length ? h("span", { class: "soft" }, "Figures, as SVG") : null,
    drawn.map(([name, words]) => link(`/v1/experiments/${id}/figures/${name}.svg`, words))));
}
