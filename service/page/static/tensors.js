// What a safetensors file says of itself before its numbers: 8 bytes of length, then JSON.

const LENGTH = 8;
const MOST = 4 << 20;

// How many tensors it holds, and what a checkpoint of some Gauntlet's is, where it is one; null where it is no such file.
export async function headerOf(file) {
  try {
    const length = Number(new DataView(await file.slice(0, LENGTH).arrayBuffer()).getBigUint64(0, true));
    if (length > MOST) return null;
    const { __metadata__: about, ...tensors } = JSON.parse(await file.slice(LENGTH, LENGTH + length).text());
    return { tensors: Object.keys(tensors).length, card: about?.gauntlet ? JSON.parse(about.gauntlet) : null };
  } catch {
    // Too short, no JSON, or gone from the disk.
    return null;
  }
}
