// Fetches the part of the page that changes, and says when it could not. Without this the page reloads itself.
"use strict";
const EVERY_MS = 2000;
const WAIT_MS_MAX = 5000;
const now = document.getElementById("now");
const connection = document.getElementById("connection");

function exchange(fresh) {
  // Only sections that differ are replaced: a screen reader and a selection keep their place.
  const before = Array.from(now.children);
  const after = Array.from(fresh.body.children);
  if (before.length !== after.length) {
    now.replaceChildren(...after);
    return;
  }
  after.forEach((section, index) => {
    if (!section.isEqualNode(before[index])) {
      before[index].replaceChildren(...section.childNodes);
      before[index].className = section.className;
    }
  });
}

async function refresh() {
  try {
    const answer = await fetch(now.dataset.from, { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS_MAX) });
    if (answer.redirected) {
      window.location.reload(); // logged out meanwhile
      return;
    }
    if (!answer.ok) {
      throw new Error(String(answer.status));
    }
    exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
    connection.hidden = true;
  } catch {
    connection.hidden = false;
  }
  window.setTimeout(refresh, document.hidden ? 5 * EVERY_MS : EVERY_MS);
}

window.setTimeout(refresh, EVERY_MS);
