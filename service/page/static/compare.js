// Runs of several experiments in the same figures, and the fields in which their specifications differ.

import { all, get, keepFresh, query } from "./api.js";
import { legend, training } from "./curves.js";
import { fill, h } from "./dom.js";
import { ENDED, interval } from "./jobs.js";
import { percent, titled } from "./words.js";

export const title = "Compare";

const MOST = 6;
const NAMES = ["train_accuracy", "test_accuracy", "test_fgsm_accuracy", "train_adversarial_accuracy"];

// A spec as fields and values. Objectives and attacks go by their kind, not by their place in a list.
function flat(value, path = "", found = new Map()) {
  if (value === null || typeof value !== "object") found.set(path, typeof value === "string" ? value : JSON.stringify(value));
  else if (Array.isArray(value) && value.every((each) => each === null || typeof each !== "object")) found.set(path, value.join(", "));
  else for (const [key, each] of Object.entries(value)) {
    const tag = Array.isArray(value) && each?.kind ? (each.label ?? titled(each.kind)) + (each.eps ? ` at ${each.eps}` : "") : null;
    const below = [path, tag ?? key].filter(Boolean).join(" › ");
    if (tag) found.set(below, "✓");
    flat(each, below, found);
  }
  return found;
}

function differences(experiments) {
  const specs = experiments.map((one) => flat(one.spec));
  const paths = [...new Set(specs.flatMap((each) => [...each.keys()]))].filter((path) => new Set(specs.map((each) => each.get(path))).size > 1)
    // Of what one does not have at all its fields are no further difference.
    .filter((path, _, all) => !all.some((other) => path.startsWith(`${other} › `) && specs.some((each) => each.get(other) === "✓")));
  const result = (one) => (one.best ? [`${percent(one.best.robust.value)} %`, interval(one.best.robust), h("small", {}, `${titled(one.best.objective)}, ${one.best.attack}`)] : "–");
  return [h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Field"), experiments.map((one) => h("th", { scope: "col" }, h("a", { href: `#/experiments/${one.id}` }, one.name))))),
    h("tbody", {}, h("tr", { "data-key": "best" }, h("th", { scope: "row" }, "most robust"), experiments.map((one) => h("td", {}, result(one)))),
      paths.map((path) => h("tr", { "data-key": path }, h("th", { scope: "row" }, path), specs.map((each) => h("td", {}, each.get(path) ?? "–")))))];
}

export async function show({ parts, search, signal }) {
  const chosen = new Set(search.getAll("experiment").slice(0, MOST));
  const hidden = new Set();
  const known = await all("/v1/experiments", signal, 200);
  let series = { runs: [], metrics: NAMES };
  parts.choose.open = chosen.size < 2;

  function list() {
    const wanted = parts.search.value.toLowerCase();
    fill(parts.experiments, known.filter((one) => chosen.has(one.id) || one.name.toLowerCase().includes(wanted)).map((one) => h("label", { "data-key": one.id },
      h("input", { type: "checkbox", value: one.id, onchange: (event) => {
        chosen[event.target.checked ? "add" : "delete"](one.id);
        history.replaceState(null, "", `#/compare${query({ experiment: [...chosen] })}`);
        list();
        refresh();
      } }), h("span", {}, one.name, h("small", {}, one.id)))));
    for (const box of parts.experiments.querySelectorAll("input")) {
      box.checked = chosen.has(box.value);
      box.disabled = !box.checked && chosen.size >= MOST;
    }
  }

  function draw() {
    const places = new Map([...new Set(series.runs.map((run) => run.objective))].map((name, place) => [name, place]));
    fill(parts.legend, legend(places, hidden, draw));
    fill(parts.curves, training({ series, names: NAMES, places, hidden, single: parts.seeds.checked }));
  }

  async function refresh() {
    const found = await Promise.all([...chosen].map((id) => Promise.all([get(`/v1/experiments/${id}`, signal), get(`/v1/experiments/${id}/series${query({ name: NAMES })}`, signal)])));
    // Two experiments may have the same name.
    const names = found.map(([one], place) => (found.some(([other], at) => at !== place && other.name === one.name) ? `${one.name} (${place + 1})` : one.name));
    series = { metrics: NAMES, runs: found.flatMap(([, each], place) => each.runs.map((run) => ({ ...run, objective: `${titled(run.objective)} · ${names[place]}` }))) };
    draw();
    fill(parts.differences, found.length ? differences(found.map(([one]) => one)) : h("caption", { class: "soft" }, "Choose two experiments or more."));
    return found.every(([one]) => ENDED.has(one.status)) ? "done" : null;
  }

  parts.search.oninput = list;
  parts.seeds.onchange = draw;
  list();
  await keepFresh(refresh, signal);
}
