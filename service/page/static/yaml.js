// A document of JSON values as YAML, which the command reads as the same values.

const PLAIN = /^[A-Za-z][A-Za-z0-9 _.\/-]*[A-Za-z0-9_\/-]$|^[A-Za-z]$/;
const TAKEN = /^(true|false|null|yes|no|on|off|y|n|nan|inf)$/i;
const scalar = (value) => (typeof value === "string" ? (PLAIN.test(value) && !TAKEN.test(value) ? value : JSON.stringify(value)) : JSON.stringify(value));
const isFlat = (value) => value === null || typeof value !== "object";
const isSmall = (value) => isFlat(value) || (Object.values(value).every(isFlat) && JSON.stringify(value).length < 90);

function inline(value) {
  if (isFlat(value)) return scalar(value);
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  return `{${Object.entries(value).map(([key, each]) => `${scalar(key)}: ${inline(each)}`).join(", ")}}`;
}

export function yaml(value, indent = "") {
  if (isFlat(value)) return `${indent}${scalar(value)}\n`;
  const lines = (Array.isArray(value) ? value.map((each) => ["- ", each]) : Object.entries(value).map(([key, each]) => [`${scalar(key)}: `, each]));
  return lines.map(([lead, each]) => (isSmall(each) ? `${indent}${lead}${inline(each)}\n` : lead === "- "
    ? `${indent}- ${yaml(each, `${indent}  `).trimStart()}` : `${indent}${lead.trimEnd()}\n${yaml(each, `${indent}  `)}`)).join("");
}
