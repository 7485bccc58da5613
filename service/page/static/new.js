// A new experiment: a form and the whole spec beside each other, held against the data while it is written.

import { copy, enable, leadTo, submitted, tried } from "./actions.js";
import { all, get, poster, send, Told } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { averaged, beside, newest, numeric } from "./evaluating.js";
import { bytes, counted, duration, titled } from "./words.js";
import { yaml } from "./yaml.js";

export const title = "New experiment";
// What is typed is still there after a login.
export const keeps = true;

const OBJECTIVES = ["cross_entropy", "policy_gradient", "expected_reward", "a2c", "ppo", "dqn"];
const ATTACKS = ["fgsm", "pgd", "autoattack", "fast", "screen", "square", "mm", "pma", "multitargeted", "noise"];
const NUMBERS = new Set(["/training/epochs", "/training/batch_size", "/training/checkpoint_every", "/evaluation/samples"]);
const SETTLE_MS = 350;
const AGAIN_MS = 2000;

const whole = (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text.trim());
const listed = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
const at = (spec, path) => path.split("/").slice(1).reduce((value, key) => value?.[key], spec);

function put(spec, path, value) {
  const keys = path.split("/").slice(1);
  const last = keys.pop();
  keys.reduce((found, key) => (found[key] ??= {}), spec)[last] = value;
}

export async function show({ parts, search, signal }) {
  let spec = null;
  let begun = 0;
  let checking = 0;
  let timer = 0;
  const post = poster();
  // An earlier experiment, for how long, and the weights that it begins with.
  const [like, epochs, initial] = ["like", "epochs", "initial"].map((name) => search.get(name));
  const fields = [...parts.form.querySelectorAll("input[data-path]:not([type=checkbox], [data-part])")];
  hold(true);
  const [catalog, earlier, datasets] = await Promise.all([get("/v1/catalog", signal), all("/v1/experiments", signal, 50), all("/v1/datasets", signal, 100)]);
  // The one that takes minutes first.
  const presets = catalog.presets.toSorted((one, other) => (other.name === "quickstart") - (one.name === "quickstart"));
  parts.base.append(...presets.map((one) => h("option", { value: `preset ${one.name}` }, one.name)));
  parts.base.append(...earlier.map((one) => h("option", { value: `like ${one.id}` }, `like ${one.name}`)));
  const dataOf = new Map(datasets.filter((one) => one.spec).map((one) => [JSON.stringify(one.spec), one]));

  // From the spec into the form.
  function read() {
    for (const field of fields) {
      const value = at(spec, field.dataset.path);
      field.value = Array.isArray(value) ? value.join(", ") : (value ?? "");
    }
    const current = JSON.stringify(spec.dataset);
    const known = [...dataOf].find(([, one]) => one.spec.name === spec.dataset.name && (one.spec.folder ?? one.spec.id) === (spec.dataset.folder ?? spec.dataset.id));
    fill(parts.data, known ? [] : h("option", { value: current }, spec.dataset.folder ?? spec.dataset.name), [...dataOf].map(([key, one]) => h("option", { value: key }, one.name)));
    parts.data.value = known ? known[0] : current;
    const kinds = [...new Set([...OBJECTIVES, ...spec.objectives.map((each) => each.kind)])];
    fill(parts.objectives, kinds.map((kind) => h("label", { "data-key": kind }, h("input", { type: "checkbox", value: kind, onchange: write }), titled(kind))));
    for (const box of parts.objectives.querySelectorAll("input")) box.checked = spec.objectives.some((each) => each.kind === box.value);
    const attacks = [...new Set([...ATTACKS, ...spec.evaluation.attacks.map((each) => each.kind)])];
    fill(parts.attacks, attacks.map((kind) => h("label", { "data-key": kind }, h("input", { type: "checkbox", value: kind, onchange: write }), titled(kind))));
    for (const box of parts.attacks.querySelectorAll("input")) box.checked = spec.evaluation.attacks.some((each) => each.kind === box.value);
    parts.budgets.value = [...new Set(spec.evaluation.attacks.map((each) => each.eps))].join(", ");
    for (const name of ["masking", "corruptions"]) parts[name].checked = spec.evaluation[name] !== null && spec.evaluation[name] !== undefined;
    parts.sigma.value = spec.evaluation.smoothing?.sigma ?? "";
    parts.eot.value = Math.max(1, ...spec.evaluation.attacks.map((each) => each.eot ?? 1));
    changed();
  }

  // From the form into the spec. What the form does not know of an objective or attack stays as it was.
  function write() {
    for (const field of fields) {
      const { path } = field.dataset;
      if (path === "/seeds") put(spec, path, listed(field.value).map(whole));
      else put(spec, path, NUMBERS.has(path) ? whole(field.value) : field.value.trim());
    }
    const data = JSON.parse(parts.data.value);
    if (data.name !== spec.dataset.name || data.folder !== spec.dataset.folder || data.id !== spec.dataset.id) spec.dataset = data;
    const checked = (part) => [...part.querySelectorAll("input:checked")].map((box) => box.value);
    spec.objectives = checked(parts.objectives).flatMap((kind) => {
      const known = spec.objectives.filter((each) => each.kind === kind);
      return known.length ? known : [{ kind }];
    });
    const budgets = listed(parts.budgets.value);
    const passes = parts.eot.value.trim() === "" ? 1 : numeric(parts.eot.value);
    spec.evaluation.attacks = checked(parts.attacks).flatMap((kind) => budgets.map((eps) => averaged({ ...(spec.evaluation.attacks.find((each) => each.kind === kind) ?? newest(kind)), eps }, passes)));
    Object.assign(spec.evaluation, beside({ corrupted: parts.corruptions.checked, sigma: numeric(parts.sigma.value) }, spec.evaluation, spec.evaluation.samples));
    if (!parts.masking.checked) spec.evaluation.masking = null;
    else spec.evaluation.masking ??= { samples: Math.min(200, Number(spec.evaluation.samples) || 200) };
    changed();
  }

  function changed() {
    if (document.activeElement !== parts.json) parts.json.value = JSON.stringify(spec, null, 2);
    parts.yaml.textContent = yaml(spec);
    enable(parts.submit, false);
    clearTimeout(timer);
    timer = setTimeout(check, SETTLE_MS);
  }

  async function check() {
    const number = (checking += 1);
    const found = await send("POST", "/v1/experiments/validate", spec, signal).catch((error) => {
      if (signal.aborted) return null;
      if (!(error instanceof Told)) throw error;
      // Nothing is known of the spec where nobody answers, or all are busy.
      if (number === checking && [undefined, 429, 503].includes(error.status)) timer = setTimeout(check, AGAIN_MS);
      return { faults: [{ pointer: "", message: error.message }], remarks: [], runs: [] };
    });
    if (!found || number !== checking || signal.aborted) return;
    for (const field of parts.form.querySelectorAll("[data-path]")) {
      const { path } = field.dataset;
      const faulty = found.faults.some((each) => each.pointer === path || each.pointer.startsWith(`${path}/`));
      if (faulty) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
    fill(parts.checked, found.faults.length
      ? h("div", { "data-key": "faults" }, found.faults.slice(0, 8).map((each) => h("p", { class: "fault" }, each.pointer ? `${each.pointer.slice(1).replaceAll("/", " › ")}: ` : "", each.message)))
      : h("div", { "data-key": "fine" }, h("p", {}, plan(found)), found.remarks.length ? h("ul", { class: "soft" }, found.remarks.map((each) => h("li", {}, each))) : null));
    enable(parts.submit, !found.faults.length);
  }

  // What would be filled over once the answer is there takes nothing until then.
  function hold(yes) {
    for (const field of parts.form.querySelectorAll("fieldset ~ fieldset :is(input, select), textarea")) field.disabled = yes;
  }

  async function begin() {
    const number = (begun += 1);
    const [how, which] = parts.base.value.split(" ");
    parts.about.textContent = how === "preset" ? presets.find((one) => one.name === which).description : "";
    hold(true);
    try {
      const found = await send("POST", "/v1/experiments/validate", how === "preset" ? { preset: which } : { like: which, changes: {} }, signal);
      const base = found.spec ?? structuredClone(earlier.find((one) => one.id === which).spec);
      delete base.version;
      if (how === "like") base.name = `${base.name}, again`.slice(0, 200);
      if (epochs) put(base, "/training/epochs", whole(epochs));
      if (initial) {
        const { card } = await get(`/v1/checkpoints/${initial}`, signal);
        put(base, "/training/initial_checkpoint", initial);
        Object.assign(base, { dataset: card.dataset, architecture: card.architecture });
        // Weights go on behind what they were trained behind, and a preset's own would be another.
        if (card.normalisation ?? base.normalisation) base.normalisation = card.normalisation ?? null;
      }
      // Unless another was chosen since.
      if (number !== begun) return;
      spec = base;
      read();
    } finally {
      if (number === begun) hold(!spec);
    }
  }

  parts.base.onchange = () => tried(parts.fault, begin);
  parts.data.onchange = write;
  for (const name of ["masking", "corruptions"]) parts[name].onchange = write;
  for (const name of ["budgets", "eot", "sigma"]) parts[name].oninput = write;
  for (const field of fields) field.oninput = write;
  parts.json.oninput = () => {
    try {
      spec = JSON.parse(parts.json.value);
      parts.json.removeAttribute("aria-invalid");
    } catch (error) {
      clearTimeout(timer);
      checking += 1;
      parts.json.setAttribute("aria-invalid", "true");
      fill(parts.checked, h("p", { class: "fault", "data-key": "json" }, `This is no JSON: ${error.message}.`));
      enable(parts.submit, false);
      return;
    }
    if (spec?.objectives?.map && spec?.evaluation?.attacks?.map && spec.dataset) read();
    else changed();
  };
  parts.copy.onclick = () => copy(parts.copy, parts.yaml, "The YAML is copied.");
  parts.form.onsubmit = () => submitted(parts.submit, parts.fault, async () => {
    const made = await post("/v1/experiments", spec);
    announce("The experiment is queued.");
    leadTo(`#/experiments/${made.id}`, signal);
  });
  window.addEventListener("gauntlet:back", check, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  if (like) {
    if (!earlier.some((one) => one.id === like)) {
      const one = await get(`/v1/experiments/${like}`, signal);
      earlier.push(one);
      parts.base.append(h("option", { value: `like ${like}` }, `like ${one.name}`));
    }
    parts.base.value = `like ${like}`;
  }
  await begin();
}

// What would be done, and how long that takes at the pace that was measured here.
function plan(found) {
  const said = [counted(found.runs.length, "run")];
  if (found.dataset?.train && found.dataset.test) said.push(...used(found));
  if (found.checkpoint_bytes) said.push(`about ${bytes(found.checkpoint_bytes)} of checkpoints`);
  const [estimate] = found.estimates ?? [];
  const seconds = estimate ? (estimate.training_seconds ?? 0) + (estimate.evaluation_seconds ?? 0) : 0;
  if (seconds) said.push(`about ${duration(seconds)} of ${estimate.device}${estimate.training_seconds === null || estimate.evaluation_seconds === null ? ", as far as it was measured" : ""}`);
  return `${said.join("; ")}.`;
}

// How many images of those that are there each run is trained and attacked on; the trials of a sweep may differ.
function used(found) {
  const { train, test } = found.dataset;
  const there = (split) => split.classes.reduce((sum, each) => sum + each.images, 0);
  const span = (name) => [...new Set([Math.min, Math.max].map((end) => end(...found.runs.map((run) => run[name])).toLocaleString("en")))].join(" to ");
  const beside = span("validation_images") === "0" ? "" : `, ${span("validation_images")} held out for validation`;
  const ofAll = (name, all) => (span(name) === all.toLocaleString("en") ? "all" : `${span(name)} of`);
  return [`trained on ${ofAll("train_images", there(train))} ${counted(there(train), "image")} in ${counted(train.classes.length, "class", "classes")}${beside}`, `attacked on ${ofAll("test_images", there(test))} ${counted(there(test), "test image")}`];
}
