/* What a page gains with JavaScript; every page works without. */
(() => {
  for (const field of document.querySelectorAll("input[data-show]")) {
    const button = document.createElement("button");
    const status = document.createElement("span");
    button.type = "button";
    button.className = "button quiet";
    button.setAttribute("aria-controls", field.id);
    status.className = "hidden";
    status.setAttribute("role", "status");
    const set = (shown) => {
      field.type = shown ? "text" : "password";
      button.textContent = shown ? field.dataset.hide : field.dataset.show;
    };
    button.addEventListener("click", () => {
      const shown = field.type === "password";
      set(shown);
      status.textContent = shown ? field.dataset.shown : field.dataset.hidden;
    });
    field.form?.addEventListener("submit", () => set(false));
    set(false);
    field.after(button, status);
  }
  for (const button of document.querySelectorAll("button[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
  // A time limit is said two minutes before, so that it is read out then; staying signed in leaves the page as it is.
  const say = (limit, place) => {
    const link = limit.querySelector("a");
    const timer = setTimeout(() => place.replaceChildren(limit), limit.dataset.seconds * 1000 - 120000);
    link?.addEventListener("click", async (event) => {
      event.preventDefault();
      const answer = await (await fetch(link.href)).text();
      const next = new DOMParser().parseFromString(answer, "text/html").querySelector("[data-seconds]");
      if (!next) return open(link.href);
      clearTimeout(timer);
      place.replaceChildren(next);
      say(next, place);
    });
  };
  for (const limit of document.querySelectorAll("[data-seconds]")) {
    const place = limit.parentElement;
    limit.remove();
    say(limit, place);
  }
})();
