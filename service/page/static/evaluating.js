// What an evaluation may measure beside its attacks, as forms ask for it.

// Those along gradients, which can be averaged over passes of a model that answers at random.
const ALONG_GRADIENTS = new Set(["fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "transfer", "mm", "pma", "multitargeted", "screen", "fast"]);
const MOST_CERTIFIED = 100;

// What an attack is asked for as by its kind alone: of a protocol with versions the newest.
const versions = { screen: 3, fast: 3 };
export const newest = (kind) => (kind in versions ? { kind, version: versions[kind] } : { kind });

// An attack with so many passes a look, where it is one along gradients; one pass is what it has by itself.
export function averaged(attack, passes) {
  const { eot, ...rest } = attack;
  return ALONG_GRADIENTS.has(attack.kind) && passes !== 1 ? { ...rest, eot: passes } : rest;
}

// What is asked for is measured as it was asked for before, in so far as it was; null is not measured.
export function beside({ corrupted, sigma }, before, samples) {
  return {
    corruptions: corrupted ? (before?.corruptions ?? {}) : null,
    smoothing: sigma === "" ? null : { ...(before?.smoothing ?? { samples: Math.min(MOST_CERTIFIED, Number(samples) || MOST_CERTIFIED) }), sigma },
  };
}

// The text of a number field as JSON has it: what is no number is left for the service to say so.
export const numeric = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text.trim() : Number(text));
