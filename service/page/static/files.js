// Files that a reader brings: dropped or chosen, and sent with how far they are.

import { upload } from "./api.js";
import { bytes } from "./words.js";

// Call `take` with a file that falls on the place for one, or is chosen.
export function onFile(drop, choosers, take) {
  for (const chooser of choosers) chooser.onchange = () => {
    const [file] = chooser.files;
    // So that the same one can be chosen again, whose content may be another by then.
    chooser.value = "";
    if (file) take(file);
  };
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  };
}

// Send a form with a file, and say in the view how much of it is on its way; `then` is what is done with all of it.
export async function sendFile({ parts, path, form, total, then, signal }) {
  const tell = (sent, all) => {
    parts.sent.value = sent / all;
    parts.howFar.textContent = sent < all ? `${bytes(sent)} of ${bytes(all)} sent. Leaving this view ends the upload.` : `All ${bytes(all)} are sent. ${then}`;
  };
  tell(0, total);
  parts.sending.hidden = false;
  try {
    return await upload(path, form, tell, signal);
  } finally {
    parts.sending.hidden = true;
  }
}
