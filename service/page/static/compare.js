// Experiments, or any of their runs alone, in the same figures, and the fields in which their specifications differ.

import { tried } from "./actions.js";
import { all, fresh, get, query } from "./api.js";
import { legend, MAIN, training } from "./curves.js";
import { fill, h } from "./dom.js";
import { ENDED, interval } from "./jobs.js";
import { objectiveOf, objectiveTitle, percent, titled } from "./words.js";

export const title = "Compare";

const MOST = 6;

// A spec as fields and values. Objectives and attacks go by their kind, not by their place in a list.
function flat(value, path = "", found = new Map()) {
  if (value === null || typeof value !== "object") found.set(path, typeof value === "string" ? value : JSON.stringify(value));
  else if (Array.isArray(value) && value.every((each) => each === null || typeof each !== "object")) found.set(path, value.join(", "));
  else for (const [key, each] of Object.entries(value)) {
    const tag = Array.isArray(value) && each?.kind ? (path === "objectives" ? objectiveOf(each) : titled(each.kind)) + (each.eps ? ` at ${each.eps}` : "") : null;
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
  const result = (one) => (one.best ? [`${percent(one.best.robust.value)} %`, interval(one.best.robust), h("small", {}, `${objectiveTitle(one.best.objective)}, ${one.best.attack}`)] : "–");
  return [h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Field"), experiments.map((one) => h("th", { scope: "col" }, h("a", { href: `#/experiments/${one.id}` }, one.name))))),
    h("tbody", {}, h("tr", { "data-key": "best" }, h("th", { scope: "row" }, "most robust"), experiments.map((one) => h("td", {}, result(one)))),
      paths.map((path) => h("tr", { "data-key": path }, h("th", { scope: "row" }, path), specs.map((each) => h("td", {}, each.get(path) ?? "–")))))];
}

// What is there; null where it is gone, as where it was deleted in another tab.
const there = (path, signal) => get(path, signal).catch((error) => {
  if (error.status !== 404) throw error;
  return null;
});

// What is compared, in the address: `experiment=…`, means over its seeds, and `run=…`, which is drawn alone. An experiment
// some of whose runs are chosen is drawn as these.
async function chosenIn(search, signal, gone) {
  const chosen = new Map(search.getAll("experiment").map((id) => [id, new Set()]));
  const asked = search.getAll("run");
  for (const [place, run] of (await Promise.all(asked.map((id) => there(`/v1/runs/${id}`, signal)))).entries()) {
    if (run) chosen.set(run.experiment, (chosen.get(run.experiment) ?? new Set()).add(run.id));
    else gone.push(asked[place]);
  }
  return new Map([...chosen].slice(0, MOST));
}

export async function show({ parts, search, signal, place }) {
  const hidden = new Set();
  const runs = new Map();
  const gone = [];
  const [chosen, known] = await Promise.all([chosenIn(search, signal, gone), all("/v1/experiments", signal, 200)]);
  for (const id of chosen.keys()) {
    if (known.some((one) => one.id === id)) continue;
    const one = await there(`/v1/experiments/${id}`, signal);
    if (one) known.push(one);
    else gone.push(id);
  }
  let series = { runs: [], metrics: [] };
  parts.choose.open = chosen.size < 2;

  const address = () => place(`#/compare${query({ experiment: [...chosen.keys()], run: [...chosen.values()].flatMap((each) => [...each]) })}`);

  // What is gone leaves the others to be compared.
  function drop(ids) {
    const names = ids.map((id) => known.find((one) => one.id === id)?.name ?? id);
    for (const id of ids) {
      chosen.delete(id);
      if (known.some((one) => one.id === id)) known.splice(known.findIndex((one) => one.id === id), 1);
    }
    address();
    parts.fault.textContent = `${names.join(", ")}: ${ids.length > 1 ? "these are" : "this is"} gone, and no longer compared.`;
    parts.fault.hidden = false;
  }

  function changed() {
    address();
    list();
    return tried(parts.fault, refresh);
  }

  function box(value, checked, onchange, label, id) {
    return h("label", { "data-key": value }, h("input", { type: "checkbox", value, "data-checked": checked ? "yes" : "no", onchange }), h("span", {}, label, h("small", {}, id)));
  }

  // An experiment, and below a chosen one its runs, as far as they are known.
  function choice(one) {
    const wanted = chosen.get(one.id);
    const choose = (event) => {
      if (event.target.checked) chosen.set(one.id, new Set());
      else chosen.delete(one.id);
      changed();
    };
    const single = (run) => box(run.run, wanted.has(run.run), (event) => {
      wanted[event.target.checked ? "add" : "delete"](run.run);
      changed();
    }, `${objectiveTitle(run.objective)}, seed ${run.seed}, alone`, run.run);
    return [box(one.id, Boolean(wanted), choose, one.name, one.id),
      wanted ? h("div", { class: "below", role: "group", "aria-label": `Runs of ${one.name}`, "data-key": `${one.id}.runs` }, (runs.get(one.id) ?? []).map(single)) : null];
  }

  function list() {
    const wanted = parts.search.value.toLowerCase();
    fill(parts.experiments, known.filter((one) => chosen.has(one.id) || one.name.toLowerCase().includes(wanted)).map(choice));
    for (const each of parts.experiments.querySelectorAll("input")) {
      each.checked = each.dataset.checked === "yes";
      each.disabled = !each.checked && chosen.size >= MOST && !each.closest(".below");
    }
  }

  function draw() {
    const places = new Map([...new Set(series.runs.map((run) => run.objective))].map((name, place) => [name, place]));
    fill(parts.legend, legend(places, hidden, draw));
    fill(parts.curves, training({ series, names: MAIN.filter((name) => series.metrics.includes(name)), places, hidden, single: parts.seeds.checked }));
  }

  const { refresh, keep } = fresh(async (signal) => {
    const asked = [...chosen.keys()];
    const answers = await Promise.all(asked.map((id) => Promise.all([there(`/v1/experiments/${id}`, signal), there(`/v1/experiments/${id}/series${query({ name: MAIN })}`, signal)])));
    const lost = asked.filter((id, place) => chosen.has(id) && answers[place].includes(null));
    if (lost.length) drop(lost);
    const found = answers.filter((each) => !each.includes(null));
    // Two experiments may have the same name.
    const names = found.map(([one], place) => (found.some(([other], at) => at !== place && other.name === one.name) ? `${one.name} (${place + 1})` : one.name));
    const lines = found.flatMap(([one, each], place) => {
      runs.set(one.id, each.runs);
      const alone = chosen.get(one.id) ?? new Set();
      const wanted = alone.size ? each.runs.filter((run) => alone.has(run.run)) : each.runs;
      return wanted.map((run) => ({ ...run, objective: `${objectiveTitle(run.objective)}${alone.size ? `, seed ${run.seed}` : ""} · ${names[place]}` }));
    });
    series = { metrics: [...new Set(found.flatMap(([, each]) => each.metrics))], runs: lines };
    list();
    draw();
    fill(parts.differences, found.length ? differences(found.map(([one]) => one)) : h("caption", { class: "soft" }, "Choose two experiments or more."));
    return found.every(([one]) => ENDED.has(one.status)) ? "done" : null;
  }, signal);

  parts.search.oninput = list;
  parts.seeds.onchange = draw;
  if (gone.length) drop(gone);
  list();
  await keep();
}
