// Home: what runs now, and every experiment.

import { leadTo, submitted, tried } from "./actions.js";
import { all, fresh, get, poster, query } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { card, ENDED, interval, ofThemHelping, slotsTaken, status } from "./jobs.js";
import { Table } from "./tables.js";
import { age, amount, counted, objectiveOf, objectiveTitle, percent, unlessSwept } from "./words.js";

export const title = "Experiments";

const PAGE = 50;
const MOST_FOLLOWED = 6;
const MOST_UNENDED = 100;
const LOOK_EVERY_MS = 5000;

const dataset = (one) => one.spec.dataset.folder ?? one.spec.dataset.name;
const objectives = (one) => one.spec.objectives.map(objectiveOf).join(", ");

const COLUMNS = [
  { key: "name", title: "Experiment", class: "name", value: (one) => one.name, cell: (one) => [h("a", { href: `#/experiments/${one.id}` }, one.name), labels(one)] },
  { key: "status", title: "Status", class: "nowrap", value: (one) => one.status, cell: (one) => [status(one), ENDED.has(one.status) ? null : h("small", {}, `${one.progress.completed} of ${counted(one.progress.total, "job")}`)] },
  { key: "best", title: "Most robust", class: "nowrap", told: "The largest accuracy under the attack that the report compares in, with its 95 % interval", value: (one) => one.best?.robust.value ?? null, cell: best },
  { key: "objectives", title: "Objectives", value: objectives, cell: objectives },
  { key: "data", title: "Data", value: dataset, cell: dataset, wanted: "wide" },
  { key: "eps", title: "Trained at ε", class: "n", value: ({ spec }) => unlessSwept(spec, "adversary.eps", amount(spec.adversary.eps), null), cell: ({ spec }) => unlessSwept(spec, "adversary.eps", spec.adversary.eps, "swept"), wanted: "wide" },
  { key: "epochs", title: "Epochs", class: "n", value: ({ spec }) => unlessSwept(spec, "training.epochs", spec.training.epochs, null), cell: ({ spec }) => unlessSwept(spec, "training.epochs", spec.training.epochs, "swept"), wanted: "wide" },
  { key: "seeds", title: "Seeds", class: "n", value: (one) => one.spec.seeds.length, cell: (one) => one.spec.seeds.length, wanted: false },
  { key: "owner", title: "Owner", value: (one) => one.owner ?? "", cell: (one) => one.owner ?? "–", wanted: false },
  { key: "id", title: "Id", class: "id", cell: (one) => one.id, wanted: false },
  { key: "age", title: "Age", class: "n", value: (one) => -Date.parse(one.created_at), cell: (one) => h("time", { datetime: one.created_at, title: one.created_at }, age(one.created_at)) },
];

function labels(one) {
  return (one.labels ?? []).length ? h("small", {}, one.labels.map((each) => [h("span", { class: "tag" }, each), " "])) : null;
}

function best(one) {
  if (!one.best) return "–";
  const { robust, objective, attack, suspect } = one.best;
  return [`${percent(robust.value)} %`, interval(robust),
    h("small", { title: attack }, objectiveTitle(objective), suspect ? h("span", { class: "doubt" }, " · gradients may be masked") : null)];
}

// A day of the reader's as the moment at which it, or one some days later, begins; null where none is chosen yet.
function beginning({ value, validity }, later = 0) {
  if (!value || !validity.valid) return null;
  const [year, month, day] = value.split("-").map(Number);
  return new Date(year, month - 1, day + later).toISOString();
}

const words = (one) => [one.name, one.id, one.status, one.owner, objectives(one), dataset(one), ...(one.labels ?? [])].join(" ").toLowerCase();

export async function show({ parts, signal }) {
  const table = new Table(parts.table, COLUMNS, { name: "home", label: "Experiments" });
  const filter = JSON.parse(localStorage.getItem("home.filter") ?? "{}");
  let found = [];
  let pages = 1;
  let isMore = false;
  let looked = 0;
  const post = poster();
  parts.filter.value = filter.text ?? "";
  parts.status.value = filter.status ?? "";
  // Days are for this tab alone: another day's visit is to see that day's.
  for (const day of ["since", "until"]) parts[day].value = sessionStorage.getItem(`home.${day}`) ?? "";
  fill(parts.columns, table.choices());

  const days = () => ({ since: beginning(parts.since), until: beginning(parts.until, 1) });

  function list() {
    const { since, until } = days();
    const wanted = parts.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    localStorage.setItem("home.filter", JSON.stringify({ text: parts.filter.value, status: parts.status.value }));
    const then = found.filter(({ created_at }) => (!since || Date.parse(created_at) >= Date.parse(since)) && (!until || Date.parse(created_at) < Date.parse(until)));
    const rows = then.filter((one) => (!parts.status.value || one.status === parts.status.value) && wanted.every((word) => words(one).includes(word)));
    table.show(rows);
    const made = `${isMore ? "newest " : ""}${counted(then.length, "experiment")}${since || until ? " of that time" : ""}`;
    if (!then.length) parts.more.textContent = "None was made then.";
    else if (rows.length < then.length) parts.more.textContent = `${rows.length} of the ${made} shown.`;
    else parts.more.textContent = since || until ? `${made} shown.` : "";
  }

  // Workers and the queue; news of them is not worth a request for each epoch that ends.
  async function look(signal) {
    if (Date.now() - looked < LOOK_EVERY_MS) return;
    const [workers, usage] = await Promise.all([get("/v1/workers", signal), get("/v1/usage", signal)]);
    looked = Date.now();
    const alive = workers.data.filter((one) => one.alive);
    const busy = alive.reduce((sum, one) => sum + slotsTaken(one), 0);
    const slots = alive.reduce((sum, one) => sum + one.slots, 0);
    const { queue } = usage;
    fill(parts.workers, h("a", { href: "#/system" }, counted(alive.length, "worker")), ` alive, ${busy} of ${counted(slots, "slot")} busy${ofThemHelping(...alive)}; `,
      queue.waiting ? `${counted(queue.waiting, "job")} in the queue, the oldest for ${age(queue.oldest_at)}.` : "the queue is empty.",
      !alive.length && queue.waiting ? h("strong", {}, " Nothing runs until a worker does: python -m worker.") : null);
  }

  const { refresh, keep } = fresh(async (signal) => {
    const read = [];
    const { since, until } = days();
    const always = !since && !until;
    let after = null;
    let more = true;
    for (let page = 0; page < pages && more; page += 1) {
      const list = await get(`/v1/experiments${query({ limit: PAGE, after, since, until })}`, signal);
      read.push(...list.data);
      after = list.next;
      more = list.has_more;
    }
    isMore = more;
    // What has not ended is never too old to be shown, and what runs now is told whatever is listed.
    const unended = more || !always ? await all(`/v1/experiments${query({ status: ["running", "queued", "paused"] })}`, signal, MOST_UNENDED) : [];
    found = [...read, ...unended.filter((one) => !read.some((each) => each.id === one.id))];
    parts.older.hidden = !more;
    parts.empty.hidden = found.length > 0 || !always;
    parts.listed.hidden = !parts.empty.hidden;
    list();
    const going = found.filter((one) => one.status === "running").slice(0, MOST_FOLLOWED);
    const jobs = (await Promise.all(going.map((one) => jobsOf(one, signal)))).flat();
    const waiting = found.filter((one) => one.status === "queued").length;
    const running = jobs.filter(([job]) => job.status === "running");
    const queued = jobs.length - running.length;
    parts.running.hidden = running.length === 0;
    fill(parts.lead, parts.empty.hidden ? lead(always ? read : [], running.length, waiting, more) : "Gauntlet trains image classifiers on adversarial examples and measures how robust they are.");
    const behind = [queued ? `${counted(queued, "more job")} of these` : "", waiting ? counted(waiting, "experiment") : ""].filter(Boolean);
    parts.queue.textContent = behind.length ? `${behind.join(" and ")} wait.` : "";
    fill(parts.jobs, running.map(([job, of]) => card(job, of)));
    await look(signal);
  }, signal);

  parts.filter.oninput = list;
  parts.status.onchange = list;
  parts.since.onchange = parts.until.onchange = () => {
    pages = 1;
    for (const day of ["since", "until"]) sessionStorage.setItem(`home.${day}`, parts[day].value);
    tried(parts.fault, refresh);
  };
  parts.older.onclick = () => submitted(parts.older, parts.fault, async () => {
    pages += 1;
    await refresh();
  });
  parts.quickstart.onclick = () => submitted(parts.quickstart, parts.fault, async () => {
    const made = await post("/v1/experiments", { preset: "quickstart" });
    announce("The quickstart is queued.");
    leadTo(`#/experiments/${made.id}`, signal);
  });
  await keep();
}

function lead(found, running, waiting, more) {
  const of = (status) => found.filter((one) => one.status === status).length;
  const now = running ? `${counted(running, "job")} ${running === 1 ? "is" : "are"} running` : waiting ? "Nothing runs yet; work is waiting" : "Nothing is running";
  const ended = [["succeeded", of("succeeded")], ["failed", of("failed")], ["was cancelled", of("cancelled")]].filter(([, n]) => n);
  const told = ended.map(([word, n], place) => `${place || more ? n : counted(n, "experiment")} ${n > 1 ? word.replace("was", "were") : word}`);
  return `${now}.${told.length ? ` ${more ? `Of the newest ${counted(found.length, "experiment")} ` : ""}${told.join(", ")}.` : ""}`;
}

async function jobsOf(one, signal) {
  const which = query({ experiment: one.id });
  const [runs, evaluations] = await Promise.all([all(`/v1/runs${which}`, signal, 100), all(`/v1/evaluations${which}`, signal, 100)]);
  return [...runs, ...evaluations].filter((job) => !ENDED.has(job.status)).map((job) => [job, one]);
}
