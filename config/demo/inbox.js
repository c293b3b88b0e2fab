// Looks for new messages every two seconds, and shows them without moving anything that is being read or typed.
"use strict";
const parts = ["messages", "people"];
let busy = false;
setInterval(async () => {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    for (const part of parts) {
      const here = document.getElementById(part), there = page.getElementById(part);
      // A message that was opened stays as it is until a new one comes.
      if (here && there && here.textContent !== there.textContent && !here.contains(getSelection().anchorNode)) {
        here.replaceChildren(...there.childNodes);
      }
    }
  } catch {
    // The demo has ended; what is shown stays.
  }
  busy = false;
}, 2000);
