/* Work under attack: the form is sent with a number whose SHA-256 with the ticket begins with so many zero bits. The
   search begins with the page, and is mostly over before a password is typed. */
(() => {
  const ticket = document.querySelector("input[data-bits]");
  if (!ticket || !window.crypto?.subtle) return;
  const { form } = ticket;
  const status = form.querySelector("[data-work]");
  const free = 32 - Number(ticket.dataset.bits);
  const encoder = new TextEncoder();
  const batch = Array.from({ length: 256 }, (_, number) => number);
  let isOver = false;
  let isWaiting = false;

  const hash = (number) => crypto.subtle.digest("SHA-256", encoder.encode(`${ticket.value}.${number}`));
  const search = async () => {
    for (let first = 0; ; first += batch.length) {
      const hashes = await Promise.all(batch.map((number) => hash(first + number)));
      const found = hashes.findIndex((bytes) => new DataView(bytes).getUint32(0) >>> free === 0);
      if (found >= 0) return first + found;
    }
  };
  const work = search()
    .then((number) => (form.elements.proof.value = number))
    .catch(() => {})
    .then(() => (isOver = true));

  form.addEventListener("submit", (event) => {
    if (isOver) return;
    event.preventDefault();
    if (isWaiting) return;
    isWaiting = true;
    const { submitter } = event;
    const late = setTimeout(() => (status.textContent = status.dataset.work), 1000);
    work.then(() => {
      clearTimeout(late);
      form.requestSubmit(submitter);
    });
  });
})();
