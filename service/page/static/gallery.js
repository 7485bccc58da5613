// Test images by what became of them: those a model loses first, and those that one withstands and another does not.

import { all, get, Told } from "./api.js";
import { fill, h } from "./dom.js";
import { amount, counted } from "./words.js";

const MOST_READ = 500;
const MOST_SHOWN = 48;

const nameOf = (one) => `${one.checkpoint_name || one.checkpoint} (${one.dataset}, ${one.outcome.natural.n})`;
const option = (value, text) => h("option", { value }, text);

export async function gallery({ parts, search, signal, pick }) {
  const measured = (await all("/v1/evaluations", signal, 200)).filter((one) => one.outcome && one.attacks.length);
  const wanted = search.get("evaluation");
  if (wanted && !measured.some((one) => one.id === wanted)) {
    const one = await get(`/v1/evaluations/${wanted}`, signal);
    if (one.outcome) measured.unshift(one);
  }
  const read = new Map();
  const images = (one) => {
    if (!read.has(one.id)) {
      const asking = all(`/v1/evaluations/${one.id}/images`, signal, MOST_READ);
      read.set(one.id, asking);
      // What failed is no answer to keep.
      asking.catch(() => read.delete(one.id));
    }
    return read.get(one.id);
  };
  const byId = (id) => measured.find((one) => one.id === id);
  const labels = (one) => one.attacks.map((each) => each.label);

  function others() {
    const one = byId(parts.evaluation.value);
    const alike = measured.filter((each) => each.id !== one.id && each.dataset === one.dataset && labels(each).some((label) => labels(one).includes(label)));
    fill(parts.other, option("", "none"), alike.map((each) => option(each.id, nameOf(each))));
    parts.other.value = "";
    return attacks();
  }

  function attacks() {
    const one = byId(parts.evaluation.value), other = byId(parts.other.value);
    const shared = labels(one).filter((label) => !other || labels(other).includes(label));
    fill(parts.under, shared.map((label) => option(label, label)));
    parts.under.value = shared.at(-1);
    fill(parts.which, other
      ? [option("one", "the first withstands, the other loses"), option("other", "the other withstands, the first loses"), option("both", "both lose")]
      : [option("lost", "lost first"), option("kept", "withstood"), option("wrong", "wrong without an attack")]);
    parts.which.value = other ? "one" : "lost";
    return list();
  }

  let asked = 0;

  // What cannot be read is told in its place, and asked for again there, or once its reader has logged in again.
  async function list() {
    const number = (asked += 1);
    try {
      await look(number);
    } catch (error) {
      if (signal.aborted || number !== asked) return;
      if (!(error instanceof Told)) throw error;
      fill(parts.told, `${error.message} `, h("button", { type: "button", class: "quiet small", onclick: list }, "Try again"));
    }
  }

  async function look(number) {
    const one = byId(parts.evaluation.value), other = byId(parts.other.value), label = parts.under.value;
    fill(parts.told, "Looking …");
    fill(parts.gallery, []);
    const ours = await images(one);
    const theirs = new Map((other ? await images(other) : []).map((each) => [each.position, each]));
    if (signal.aborted || number !== asked) return;
    const right = (each) => each && each.natural === each.label;
    const robust = (each) => right(each) && each.attacks[label]?.robust;
    const lost = (each) => right(each) && each.attacks[label] && !each.attacks[label].robust;
    const tests = {
      lost, kept: robust, wrong: (each) => !right(each),
      one: (each) => robust(each) && lost(theirs.get(each.position)),
      other: (each) => lost(each) && robust(theirs.get(each.position)),
      both: (each) => lost(each) && lost(theirs.get(each.position)),
    };
    const sweep = family(one, label);
    const first = (each) => sweep.find((name) => each.attacks[name] && !each.attacks[name].robust) ?? label;
    const found = ours.filter(tests[parts.which.value] ?? lost);
    if (parts.which.value === "lost") found.sort((a, b) => sweep.indexOf(first(a)) - sweep.indexOf(first(b)) || a.position - b.position);
    fill(parts.told, `${counted(found.length, "image")} of ${ours.length}.${parts.which.value === "lost" && sweep.length > 1 ? " Those that fall at the smallest budget come first." : ""} Choose one to put it under attack above.`);
    fill(parts.gallery, found.slice(0, MOST_SHOWN).map((each) => {
      const under = parts.which.value === "one" ? theirs.get(each.position) : each;
      const at = parts.which.value === "lost" ? first(each) : label;
      const became = parts.which.value === "wrong" ? each.natural : (under.attacks[at]?.predicted ?? "");
      const told = became && became !== each.label ? `${each.label} → ${became}` : each.label;
      return h("li", { "data-key": `${one.id}.${each.position}` }, h("button", { type: "button", onclick: () => pick({ evaluations: other ? [one, other] : [one], image: each }) },
        h("img", { src: `/v1/evaluations/${one.id}/images/${each.position}.png`, alt: `Test image ${each.position}, ${told}`, loading: "lazy", width: 32, height: 32 }),
        h("span", {}, told), parts.which.value === "lost" ? h("small", {}, at.split("@")[1]) : null));
    }));
  }

  if (!measured.length) {
    fill(parts.told, "No evaluation has ended yet; its images appear here.");
    for (const select of [parts.evaluation, parts.other, parts.under, parts.which]) select.closest("label").hidden = true;
    return;
  }
  fill(parts.evaluation, measured.map((one) => option(one.id, nameOf(one))));
  if (wanted && byId(wanted)) parts.evaluation.value = wanted;
  parts.evaluation.onchange = others;
  parts.other.onchange = attacks;
  parts.under.onchange = list;
  parts.which.onchange = list;
  window.addEventListener("gauntlet:back", list, { signal });
  await others();
}

// The same attack at every budget that was made, from the smallest to this one.
function family(one, label) {
  const [kind, eps] = label.split("@");
  const size = (text) => amount(text.split(":").at(-1));
  return one.attacks.map((each) => each.label).filter((each) => each.split("@")[0] === kind && size(each.split("@")[1]) <= size(eps)).sort((a, b) => size(a.split("@")[1]) - size(b.split("@")[1]));
}
