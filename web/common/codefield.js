// Where the code of the admin's second factor is typed.
import { TextField } from "./parts.js";
import { html } from "./ui.js";
import { t } from "./words.js";

/** @param {any} props  value, onValue, problem, perhaps help */
export function CodeField({ help, ...rest }) {
  return html`<${TextField} label=${t("Code of the second factor")} name="code" autocomplete="one-time-code" spellcheck=${false} autocapitalize="off"
    maxlength="40" help=${help ?? t("The six digits that your phone shows, or one of the recovery codes.")} ...${rest} />`;
}
