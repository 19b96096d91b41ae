// Choosing an admin password: the same fields for the first one and for a new one.
import { put } from "./api.js";
import { Button, DoneBox, ProblemBox, TextField, useTask } from "./parts.js";
import { html, useState } from "./ui.js";
import { t } from "./words.js";

const SHORTEST = 8;

/** @param {{first: boolean, path: string, onDone?: () => void}} props */
export function NewPassword({ first, path, onDone }) {
  const task = useTask();
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const short = fresh !== "" && fresh.length < SHORTEST;
  const different = again !== "" && again !== fresh;
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    if (fresh.length < SHORTEST || again !== fresh) return;
    setDone(null);
    void task.run(async () => {
      await put(path, { old, new: fresh });
      setOld("");
      setFresh("");
      setAgain("");
      setDone(t("The password is set. Other login sessions have ended."));
      onDone?.();
    });
  };
  return html`<form class="narrow" onSubmit=${submit}>
    <input class="unseen" type="text" name="username" autocomplete="username" value="admin" readonly tabindex="-1" aria-hidden="true" />
    ${first
      ? null
      : html`<${TextField} label=${t("Password until now")} name="old" type="password" autocomplete="current-password" required
          value=${old} onValue=${setOld} problem=${task.problem} />`}
    <${TextField} label=${t("New password")} name="new" type="password" autocomplete="new-password" required minlength=${SHORTEST}
      help=${t("At least {n} characters; several words are good.", { n: SHORTEST })} value=${fresh} onValue=${setFresh}
      problem=${task.problem} />
    <${TextField} label=${t("New password again")} name="again" type="password" autocomplete="new-password" required
      value=${again} onValue=${setAgain} />
    ${short ? html`<p class="fault">${t("This password is too short.")}</p>` : null}
    ${different ? html`<p class="fault">${t("The two passwords differ.")}</p>` : null}
    <${ProblemBox} problem=${task.problem} />
    <${DoneBox} text=${done} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Set password")}<//></div>
  </form>`;
}
