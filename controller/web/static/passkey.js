// WebAuthn needs a script: asks the controller what to ask the authenticator, and sends back what it said.
const button = document.getElementById("passkey") ?? document.getElementById("passkey-add");
const problem = document.getElementById("passkey-problem");
const isNew = button !== null && button.id === "passkey-add";

async function post(path, body) {
  const headers = { "X-Form-Token": button.dataset.formToken, "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body, redirect: "manual" });
  const said = answer.type === "opaqueredirect" ? null : await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Error(said?.error?.message ?? "Hãy tải lại trang. / Load the page again.");
  }
  return said;
}

async function run() {
  const options = await post(button.dataset.ask, "");
  if (isNew) {
    const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
    const title = document.getElementById("passkey-title").value;
    const password = document.getElementById("passkey-password")?.value ?? "";
    return post(button.dataset.send, JSON.stringify({ answer: credential.toJSON(), title, password }));
  }
  const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  return post(button.dataset.send, JSON.stringify(credential.toJSON()));
}

function goOn(said) {
  if (!said.codes?.length) {
    window.location.assign(said.next);
    return;
  }
  const shown = document.getElementById("passkey-codes");
  for (const code of said.codes) {
    const row = document.createElement("li");
    row.append(Object.assign(document.createElement("code"), { textContent: code }));
    shown.querySelector("ul").append(row);
  }
  document.getElementById("new-passkey").hidden = true;
  shown.hidden = false;
}

if (button !== null && window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  button.hidden = false;
  (document.getElementById("new-passkey") ?? button).hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    problem.hidden = true;
    try {
      goOn(await run());
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError" ? "Đã huỷ hoặc hết giờ. / Cancelled or timed out." : error.message;
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}
