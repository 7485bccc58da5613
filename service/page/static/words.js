// How things are said: numbers, times, and what the API's words are called.

export const percent = (value) => (value === null || value === undefined ? "–" : (value * 100).toFixed(1));
export const points = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value * 100).toFixed(1)}`;
export const range = ([low, high]) => `${percent(low)} – ${percent(high)}`;

const NAMES = {
  cross_entropy: "cross-entropy", ppo: "PPO", a2c: "A2C", dqn: "DQN", fgsm: "FGSM", pgd: "PGD", autoattack: "AutoAttack", mm: "MM", pma: "PMA", multitargeted: "MultiTargeted", highest_fgsm: "highest FGSM",
  "apgd-ce": "APGD-CE", "apgd-t": "APGD-T", "fab-t": "FAB-T", square: "Square", cnn: "the paper's CNN", resnet18: "ResNet-18",
};
const OBJECTIVES = {
  cross_entropy: "cross-entropy", trades: "TRADES", mart: "MART", policy_gradient: "policy gradient", expected_reward: "expected reward", a2c: "A2C", ppo: "PPO", dqn: "DQN",
};
// An objective by its name in the API: its kind as people write it, or what its user has called it, to the letter.
export const objectiveTitle = (name) => OBJECTIVES[name] ?? name;
// The same of what a spec says of it; a label that reads as another kind has its own behind it, as in the API.
export function objectiveOf({ label, kind }) {
  if (!label) return objectiveTitle(kind);
  const read = (name) => name.replace(/[\s_-]+/g, " ").toLowerCase();
  const other = Object.entries(OBJECTIVES).find((each) => each.some((name) => read(name) === read(label)));
  return other && other[0] !== kind ? `${label} (${OBJECTIVES[kind]})` : label;
}
// A word of the API as people write it; what follows it, such as a label's departures, stays.
export function titled(name) {
  const [, word, rest] = /^([a-z0-9_-]*)(.*)$/s.exec(name);
  return (NAMES[word] ?? word.replaceAll("_", " ")) + rest;
}
// What a spec says of a field, unless its sweep goes over it: then it is of no trial, perhaps.
export function unlessSwept(spec, field, said, otherwise) {
  const over = Object.keys(spec.sweep?.over ?? {});
  return over.some((each) => each === field || field.startsWith(`${each}.`)) ? otherwise : said;
}
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const counted = (n, thing, things = `${thing}s`) => `${n.toLocaleString("en")} ${n === 1 ? thing : things}`;

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  const [unit, size] = UNITS.find(([, each]) => seconds >= each);
  const whole = Math.floor(seconds / size);
  const [below, smaller] = UNITS[UNITS.findIndex(([name]) => name === unit) + 1] ?? [];
  const rest = smaller && whole < 10 ? Math.floor((seconds % size) / smaller) : 0;
  return rest ? `${whole} ${unit} ${rest} ${below}` : `${whole} ${unit}`;
}

export const age = (moment) => duration(Math.max(1, (Date.now() - Date.parse(moment)) / 1000));
export const left = (progress) => (progress?.eta_s ?? null) === null ? "" : `${duration(progress.eta_s)} left`;

export function bytes(count) {
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (count < 1024 || unit === "GiB") return `${unit === "bytes" ? count : count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
}

// 8/255 as a number; a budget may be written as a decimal too.
export function amount(eps) {
  const [above, below] = String(eps).split("/").map(Number);
  return below ? above / below : above;
}

const METRICS = {
  train_accuracy: "Training accuracy",
  test_accuracy: "Test accuracy",
  test_fgsm_accuracy: "Test accuracy under FGSM",
  train_adversarial_accuracy: "Accuracy on the attacked batches",
  validation_accuracy: "Validation accuracy",
  validation_fgsm_accuracy: "Validation accuracy under FGSM",
  probe_accuracy: "Accuracy of probed images under PGD",
  probe_fgsm_accuracy: "Accuracy of probed images under FGSM",
  probe_best_accuracy: "Best accuracy of probed images under PGD",
  fgsm_lowered_loss: "Test images whose loss FGSM lowers",
  min_log_prob: "Smallest log probability",
};
export const metricTitle = (name) => METRICS[name] ?? capital(titled(name));
export const isShare = (name) => name.endsWith("accuracy") || name === "mean_confidence" || name === "mean_uniformity" || name === "fgsm_lowered_loss";
