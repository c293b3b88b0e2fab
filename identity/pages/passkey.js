/* Passkeys: a form marked data-passkey="get" or "create" gains its button where the browser can do it.
   The options of the ceremony lie beside the form; the browser's answer goes back in the form's field. */
(() => {
  const key = window.PublicKeyCredential;
  if (!key || !key.parseRequestOptionsFromJSON || !key.parseCreationOptionsFromJSON) return;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const creates = form.dataset.passkey === "create";
    const status = form.querySelector("[role=status]");
    const options = JSON.parse(document.getElementById(form.dataset.options).textContent);
    let waiting = new AbortController();
    const ask = (how) =>
      creates
        ? navigator.credentials.create({ publicKey: key.parseCreationOptionsFromJSON(options), ...how })
        : navigator.credentials.get({ publicKey: key.parseRequestOptionsFromJSON(options), ...how });
    const send = (credential) => {
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    };
    /* Autofill: passkeys appear among the suggestions of the address field, and nothing asks for anything. */
    const offer = async () => {
      if (creates || !("autofill" in form.dataset) || !(await key.isConditionalMediationAvailable?.())) return;
      waiting = new AbortController();
      ask({ mediation: "conditional", signal: waiting.signal }).then(send, () => {});
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      waiting.abort();
      status.textContent = "";
      try {
        send(await ask({}));
      } catch (error) {
        status.textContent = error.name === "InvalidStateError" ? status.dataset.known : status.dataset.failed;
        offer();
      }
    });
    form.hidden = false;
    for (const other of document.querySelectorAll("[data-without-passkey]")) other.hidden = true;
    offer();
  }
})();
