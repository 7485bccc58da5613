// The trials of a sweep, ranked, with the values that were tried.

import { h } from "./dom.js";
import { capital, metricTitle, objectiveTitle, percent } from "./words.js";

// As the report writes them.
function written(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "object" ? Object.values(value).join(" ") : String(value);
}

// A field's last word is enough where no other ends alike.
function named(field, fields) {
  const last = (path) => path.split(".").at(-1);
  return fields.some((each) => each !== field && last(each) === last(field)) ? field : last(field).replaceAll("_", " ");
}

function state(trial, { selected }) {
  if (selected.includes(trial.label)) return h("strong", {}, "selected");
  return h("span", { class: "soft" }, trial.complete ? "trained to its end" : trial.stopped ? "stopped early" : "not at its end");
}

export function trials(sweep) {
  const fields = [...new Set(sweep.trials.flatMap((each) => Object.keys(each.values)))];
  const rows = sweep.trials.map((each) => h("tr", { "data-key": each.label },
    h("td", { class: "n" }, each.rank), h("th", { scope: "row" }, capital(objectiveTitle(each.objective))),
    fields.map((field) => h("td", { class: "n" }, written(each.values[field]))),
    h("td", { class: "n" }, percent(each.value)), h("td", { class: "n" }, each.epochs), h("td", {}, state(each, sweep))));
  const head = [["Rank", "n"], ["Objective"], ...fields.map((field) => [named(field, fields), "n", field]), [`${metricTitle(sweep.metric)}, %`, "n compared"], ["Epochs", "n"], ["State"]];
  return [h("thead", {}, h("tr", {}, head.map(([name, kind, told]) => h("th", { scope: "col", class: kind ?? null, title: told ?? null }, name)))), h("tbody", {}, rows)];
}
