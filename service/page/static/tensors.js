// What a safetensors file says of itself before its numbers: 8 bytes of length, then JSON.

const LENGTH = 8;
// As much as the service reads.
const MOST = 4 << 20;
const FOREIGN = { fault: "is no safetensors file. Of what torch.save wrote, gauntlet convert makes one, on your own machine." };
const LONG = { fault: "has a header of more than the 4 MiB that are read." };

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isNumbers = (value) => Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === "number");
// What a form has a field for.
const plain = (value) => (isRecord(value) ? Object.fromEntries(Object.entries(value).filter(([, each]) => each === null || typeof each !== "object")) : null);

// What a checkpoint of some Gauntlet's is; null of what another wrote there. Anyone may have written it.
function cardIn(text) {
  let card;
  try {
    card = JSON.parse(text);
  } catch {
    return null;
  }
  const [architecture, dataset] = [plain(card?.architecture), plain(card?.dataset)];
  const { mean, std } = card?.normalisation ?? {};
  const normalisation = isNumbers(mean) && isNumbers(std) ? [mean.join(", "), std.join(", ")] : null;
  return architecture && (normalisation || (card.normalisation ?? null) === null) ? { architecture, dataset, normalisation } : null;
}

// How many tensors it holds, and what a checkpoint of some Gauntlet's is, where it is one; or the fault of what is no such file.
export async function headerOf(file) {
  try {
    const length = Number(new DataView(await file.slice(0, LENGTH).arrayBuffer()).getBigUint64(0, true));
    if (length > file.size - LENGTH) return FOREIGN;
    if (length > MOST) return LONG;
    const header = JSON.parse(await file.slice(LENGTH, LENGTH + length).text());
    if (!isRecord(header)) return FOREIGN;
    const { __metadata__: about, ...tensors } = header;
    return { tensors: Object.keys(tensors).length, card: cardIn(about?.gauntlet) };
  } catch {
    // Too short, no JSON, or gone from the disk.
    return FOREIGN;
  }
}
