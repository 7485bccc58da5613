// Under attack: a picture, checkpoints and a budget; what each network sees as ε grows.

import { tried } from "./actions.js";
import { all, get, picture as fetched, send, Told } from "./api.js";
import { chart } from "./charts.js";
import { announce, fill, h } from "./dom.js";
import { onFile } from "./files.js";
import { gallery } from "./gallery.js";
import { Subject } from "./subject.js";
import { amount, percent } from "./words.js";

export const title = "Under attack";
// The picture and what was chosen are still there after a login.
export const keeps = true;

const STEPS = 16;
const MOST_CHECKPOINTS = 4;
const LARGEST = { Linf: [4, 8, 16, 32, 64, 128].map((level) => [`${level}/255`, level / 255]), L2: [0.25, 0.5, 1, 2, 4, 8].map((level) => [String(level), level]) };

// Exact, as the API reads it: 0.5/255 is no rounded number.
const budgetAt = (most, step) => (most.includes("/") ? `${(Number(most.split("/")[0]) * step) / STEPS}/255` : String((Number(most) * step) / STEPS));
const written = (eps) => (eps.includes("/") ? `${eps.split("/")[0]}/255` : eps);

export async function show({ parts, search, signal }) {
  const chosen = new Set(search.getAll("checkpoint"));
  let checkpoints = null, picture = null, subjects = [], asking = null, timer = 0;

  function budgets() {
    fill(parts.most, LARGEST[parts.norm.value].map(([name]) => h("option", { value: name }, name)));
    parts.most.value = LARGEST[parts.norm.value][3][0];
  }

  function list() {
    if (!checkpoints) return;
    const wanted = parts.search.value.toLowerCase();
    const chosenFirst = [...checkpoints].sort((one, other) => chosen.has(other.id) - chosen.has(one.id));
    fill(parts.checkpoints, chosenFirst.filter((one) => chosen.has(one.id) || `${one.name} ${one.id} ${one.experiment} ${one.card.dataset.name}`.toLowerCase().includes(wanted)).slice(0, 60).map((one) =>
      h("label", { "data-key": one.id }, h("input", { type: "checkbox", value: one.id, checked: chosen.has(one.id), onchange: (event) => choose(one.id, event.target.checked) }),
        h("span", {}, one.name, h("small", {}, `${one.card.dataset.folder ?? one.card.dataset.name} · ${one.card.image_shape.join(" × ")}`)))));
    for (const box of parts.checkpoints.querySelectorAll("input")) {
      box.checked = chosen.has(box.value);
      box.disabled = !box.checked && chosen.size >= MOST_CHECKPOINTS;
    }
    if (!checkpoints.length) {
      fill(parts.checkpoints, h("p", { class: "soft" }, "There are none yet: a run keeps the first after some epochs."));
      fill(parts.hint, h("h2", {}, "There is no network to attack yet"),
        h("p", {}, "The quickstart, among the ", h("a", { href: "#/" }, "experiments"), ", trains two within minutes. Or ", h("a", { href: "#/import" }, "import a network of your own"), "."));
    }
  }

  function choose(id, wanted) {
    chosen[wanted ? "add" : "delete"](id);
    list();
    attackSoon();
  }

  function take(blob, name, label = null) {
    picture = { blob, name, label };
    parts.picture.textContent = label ? `${name}, ${label}` : name;
    attackSoon();
  }

  function attackSoon() {
    clearTimeout(timer);
    timer = setTimeout(attack, 150);
  }

  async function attack() {
    asking?.abort();
    parts.fault.hidden = true;
    const ready = checkpoints && picture && chosen.size;
    parts.hint.hidden = ready;
    if (!ready) {
      parts.found.hidden = true;
      return;
    }
    const { signal: current } = (asking = new AbortController());
    const [kind, margin] = parts.kind.value.split(" ");
    const plan = { kind, pictures: true, norm: parts.norm.value, eps: [...Array(STEPS).keys()].map((step) => budgetAt(parts.most.value, step + 1)) };
    if (picture.label) plan.label = picture.label;
    if (kind === "pgd") Object.assign(plan, { steps: Number(parts.steps.value), loss: margin ? "margin" : "cross_entropy" });
    const form = new FormData();
    form.append("image", picture.blob, picture.name);
    for (const id of chosen) form.append("checkpoint", id);
    form.append("attack", JSON.stringify(plan));
    parts.found.classList.add("busy");
    try {
      const answer = await send("POST", "/v1/classifications", form, current);
      if (current.aborted || signal.aborted) return;
      subjects = await Promise.all(answer.data.map((one, place) => Subject.of(one, checkpoints.find((each) => each.id === one.checkpoint), place)));
      if (current.aborted) return;
      parts.subjects.replaceChildren(...subjects.map((each) => each.element));
      fill(parts.curve, curve(subjects, parts.most.value));
      parts.basis.textContent = `${answer.data[0].attack.attack}: made on each checkpoint's own weights, for the class ${picture.label ? "that the picture has" : "that each takes it for without an attack"}. Pictures are shown rounded to whole 255ths.`;
      parts.found.hidden = false;
      look();
      announce(subjects.map((each) => each.sentence()).join(" "));
    } catch (error) {
      if (current.aborted || signal.aborted) return;
      if (!(error instanceof Told)) throw error;
      parts.fault.textContent = error.message;
      for (const each of error.errors ?? []) if (!error.message.includes(each.message)) parts.fault.append(` ${each.message}`);
      parts.fault.hidden = false;
    } finally {
      if (!current.aborted) parts.found.classList.remove("busy");
    }
  }

  function look() {
    const step = Number(parts.budget.value);
    const eps = step ? budgetAt(parts.most.value, step) : "0";
    parts.eps.textContent = written(eps);
    parts.budget.setAttribute("aria-valuetext", `ε = ${written(eps)}`);
    for (const each of subjects) each.look(step);
  }

  budgets();
  onFile(parts.drop, [parts.file, parts.camera], (file) => take(file, file.name));
  parts.jump.onclick = (event) => {
    event.preventDefault();
    parts.evaluation.scrollIntoView({ block: "center" });
    parts.evaluation.focus();
  };
  parts.search.oninput = list;
  parts.budget.oninput = look;
  parts.norm.onchange = () => {
    budgets();
    attackSoon();
  };
  parts.kind.onchange = () => {
    parts.steps.disabled = !parts.kind.value.startsWith("pgd");
    attackSoon();
  };
  for (const field of [parts.steps, parts.most]) field.onchange = attackSoon;
  window.addEventListener("gauntlet:back", attackSoon, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    asking?.abort();
  });
  checkpoints = await all("/v1/checkpoints", signal, 300);
  list();
  if (picture) attackSoon();
  await gallery({ parts, search, signal, pick: ({ evaluations, image }) => tried(parts.fault, async () => {
    const wanted = evaluations.map((one) => one.checkpoint);
    // What was chosen before makes room.
    for (const id of [...chosen].filter((each) => !wanted.includes(each)).slice(MOST_CHECKPOINTS - wanted.length)) chosen.delete(id);
    for (const one of evaluations) {
      chosen.add(one.checkpoint);
      if (!checkpoints.some((each) => each.id === one.checkpoint)) checkpoints.unshift(await get(`/v1/checkpoints/${one.checkpoint}`, signal));
    }
    list();
    take(await fetched(`/v1/evaluations/${evaluations[0].id}/images/${image.position}.png`, signal), `test image ${image.position}`, image.label);
    window.scrollTo({ top: 0 });
  }) });
}

function curve(subjects, most) {
  const scale = most.includes("/") ? 255 : 1;
  const series = subjects.map((each) => ({
    name: each.name, short: each.name, place: each.place,
    points: each.steps.map(({ eps, right }) => [amount(eps) * scale, right]),
    marks: each.smallest ? [[amount(each.smallest.eps) * scale, each.smallest.right, `fooled from ${each.smallest.eps}`, "mark"]] : [],
  }));
  const words = subjects.map((each) => `${each.sentence()} The right class has ${percent(each.steps[0].right)} % without an attack and ${percent(each.steps.at(-1).right)} % at the largest budget.`).join(" ");
  return chart({ key: "curve", title: "Probability of the right class, %", across: scale === 255 ? "ε · 255" : "ε", whole: false, ends: [0, amount(most) * scale], series, words });
}
