/* Passkeys: a button marked data-passkey="get" or "create" appears where the browser can do it. The options of the
   ceremony lie beside it; the browser's answer goes into the form, and the form to the button's own address. */
(() => {
  const key = window.PublicKeyCredential;
  /* The security page says which passkeys we still accept; what was removed is offered no more. */
  const accepted = document.getElementById("passkey-accepted");
  if (accepted) key?.signalAllAcceptedCredentials?.(JSON.parse(accepted.textContent)).catch(() => {});
  /* Somebody has just offered a passkey of nobody's here: it is offered no more either. */
  const unknown = document.getElementById("passkey-unknown");
  if (unknown) key?.signalUnknownCredential?.(JSON.parse(unknown.textContent)).catch(() => {});
  const button = document.querySelector("button[data-passkey]");
  if (!button || !key?.parseRequestOptionsFromJSON || !key.parseCreationOptionsFromJSON) return;
  const { form, dataset } = button;
  const creates = dataset.passkey === "create";
  const status = button.nextElementSibling;
  const options = JSON.parse(document.getElementById("passkey-options").textContent);
  let waiting;

  const ask = (how) =>
    creates
      ? navigator.credentials.create({ publicKey: key.parseCreationOptionsFromJSON(options), ...how })
      : navigator.credentials.get({ publicKey: key.parseRequestOptionsFromJSON(options), ...how });
  const send = (credential) => {
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.setAttribute("action", dataset.action);
    form.submit();
  };
  /* Autofill: passkeys appear among the suggestions of the address field, and nothing asks for anything. */
  const offer = async () => {
    if (!("autofill" in dataset) || !(await key.isConditionalMediationAvailable?.())) return;
    waiting = new AbortController();
    ask({ mediation: "conditional", signal: waiting.signal }).then(send, () => {});
  };

  button.addEventListener("click", async () => {
    waiting?.abort();
    status.textContent = "";
    try {
      send(await ask({}));
    } catch (error) {
      /* Cancelled and timed out are one error, so that no site learns what a device has (section 5.1.3). */
      const words = { InvalidStateError: dataset.known, ConstraintError: dataset.unable, NotSupportedError: dataset.unable };
      status.textContent = words[error.name] ?? dataset.failed;
      offer();
    }
  });
  button.hidden = false;
  for (const more of document.querySelectorAll("[data-with-passkey]")) more.hidden = false;
  for (const other of document.querySelectorAll("[data-without-passkey]")) other.hidden = true;
  /* Without finger, face or code of its own a device offers the phone or a key, which is said before. */
  const warning = document.querySelector("[data-no-platform]");
  if (warning) key.isUserVerifyingPlatformAuthenticatorAvailable?.().then((can) => { warning.hidden = can; }, () => {});
  offer();
})();
