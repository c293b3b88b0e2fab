/* A service's frame asks "client_id session_state": is the sign-in in this browser still the one it was told of?
   Session Management 1.0 section 3.2. */
(() => {
  const name = document.currentScript.dataset.cookie;

  /* Only the page that shows this frame may ask; a browser that does not say which one that is hears "error". */
  const expected = () => location.ancestorOrigins?.[0] ?? new URL(document.referrer).origin;

  const held = () => {
    const pair = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
    return pair && pair.slice(name.length + 1);
  };

  /* Where cookies are kept from frames this fails: the answer is "error", for "changed" would send the service round
     in circles (section 5.1). */
  const state = async () => {
    if (held() === undefined && !(await document.hasStorageAccess())) await document.requestStorageAccess();
    return held() ?? "";
  };

  const judge = async (message, origin) => {
    const [, client, digest, salt] = /^(.+) ([0-9a-f]{64})\.([\w-]+)$/.exec(message);
    if (origin !== expected()) return "error";
    const text = new TextEncoder().encode(`${client} ${origin} ${await state()} ${salt}`);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("") === digest ? "unchanged" : "changed";
  };

  addEventListener("message", async ({ data, origin, source }) => {
    if (!source || origin === "null") return;
    source.postMessage(await judge(data, origin).catch(() => "error"), origin);
  });
})();
