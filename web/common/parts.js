// Small parts that every page uses: fields, buttons that say that they are busy, errors, questions.
import { get, problemFrom } from "./api.js";
import { Component, html, signal, useEffect, useId, useRef, useState } from "./ui.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Problem} Problem */

/** Sentences for the polite live region: changes of state, never running values. */
export const announcement = signal("");

/** @param {string} sentence */
export function announce(sentence) {
  announcement.value = sentence;
}

/** What happened, what to do, and the code to ask for. @param {{problem: Problem|null}} props */
export function ProblemBox({ problem }) {
  if (!problem) return null;
  return html`<div class="box bad" role="alert">
    <p>${problem.message}</p>
    <p class="code">${t("Code: {code}", { code: problem.code })}</p>
  </div>`;
}

/** What is possible and looks like a mistake. @param {{warnings: {where: string, text: string}[]|undefined}} props */
export function Warnings({ warnings }) {
  if (!warnings?.length) return null;
  return html`<ul class="box warn warnings">${warnings.map((one) => html`<li key=${one.where} data-where=${one.where}>${one.text}</li>`)}</ul>`;
}

/** @param {{text: string|null}} props */
export function DoneBox({ text }) {
  return html`<div class="done" role="status">${text ? html`<p class="box good">${text}</p>` : null}</div>`;
}

/**
 * A labelled field. `problem` marks it when the server meant this one.
 * @param {{label: string, help?: string, name: string, problem?: Problem|null, children: (attributes: any) => any}} props
 */
export function Field({ label, help, name, problem, children }) {
  const id = useId();
  const meant = problem?.where !== undefined && (problem.where === name || problem.where.endsWith(`.${name}`));
  const described = [help ? `${id}-help` : "", meant ? `${id}-bad` : ""].filter(Boolean).join(" ");
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children({ id, name, "aria-describedby": described || undefined, "aria-invalid": meant ? "true" : undefined })}
    ${help ? html`<p class="help" id=${`${id}-help`}>${help}</p>` : null}
    ${meant ? html`<p class="fault" id=${`${id}-bad`}>${problem?.message}</p>` : null}
  </div>`;
}

/** @param {any} props  label, name, value, onValue, and any attribute of an input */
export function TextField({ label, help, problem, name, value, onValue, ...rest }) {
  return html`<${Field} label=${label} help=${help} name=${name} problem=${problem}>${(/** @type {any} */ a) => html`<input
    type="text" ...${a} ...${rest} value=${value} onInput=${(/** @type {any} */ e) => onValue(e.currentTarget.value)} />`}<//>`;
}

/** @param {any} props  options: [value, text][] */
export function SelectField({ label, help, problem, name, value, options, onValue, ...rest }) {
  return html`<${Field} label=${label} help=${help} name=${name} problem=${problem}>${(/** @type {any} */ a) => html`<select
    ...${a} ...${rest} onChange=${(/** @type {any} */ e) => onValue(e.currentTarget.value)}>
      ${options.map(
        (/** @type {[string, string]} */ [key, text]) =>
          html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`,
      )}
    </select>`}<//>`;
}

/** @param {any} props  label, name, checked, onValue */
export function TickField({ label, help, name, checked, onValue, ...rest }) {
  const id = useId();
  return html`<div class="field tick">
    <input type="checkbox" id=${id} name=${name} checked=${checked} aria-describedby=${help ? `${id}-help` : undefined}
      onChange=${(/** @type {any} */ e) => onValue(e.currentTarget.checked)} ...${rest} />
    <label for=${id}>${label}</label>
    ${help ? html`<p class="help" id=${`${id}-help`}>${help}</p>` : null}
  </div>`;
}

/**
 * Run one task at a time; what goes wrong is kept to be shown.
 * @returns {{busy: boolean, problem: Problem|null, run: (task: () => Promise<void>) => Promise<void>,
 *   forget: () => void}}
 */
export function useTask() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(/** @type {Problem|null} */ (null));
  const running = useRef(false);
  return {
    busy,
    problem,
    forget: () => setProblem(null),
    async run(task) {
      if (running.current) return;
      running.current = true;
      setBusy(true);
      setProblem(null);
      try {
        await task();
      } catch (error) {
        setProblem(problemFrom(error));
      } finally {
        running.current = false;
        setBusy(false);
      }
    },
  };
}

/**
 * Asks again and again, so long after each answer and not while nobody looks, until its component is gone.
 * @template T
 * @param {string} path @param {number} everyMs @param {(fresh: T) => void} take @param {(problem: Problem) => void} fail
 */
export function useAsked(path, everyMs, take, fail) {
  useEffect(() => {
    let stopped = false;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;
    const ask = async () => {
      try {
        if (!document.hidden) {
          const fresh = await get(path);
          if (!stopped) take(fresh);
        }
      } catch (error) {
        if (!stopped) fail(problemFrom(error));
      }
      if (!stopped) timer = setTimeout(() => void ask(), everyMs);
    };
    void ask();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, []);
}

/** @param {any} props  busy, and any attribute of a button */
export function Button({ busy, children, disabled, class: name, ...rest }) {
  return html`<button type="button" class=${`button ${name || ""}`} disabled=${disabled || busy} aria-busy=${busy ? "true" : undefined}
    ...${rest}>${children}</button>`;
}

/**
 * A question that must be answered: native dialog, so that focus and Escape work by themselves.
 * @param {{title: string, yes: string, danger?: boolean, busy?: boolean, problem?: Problem|null, onYes: () => void,
 *   onNo: () => void, no?: string|null, children?: any}} props
 */
export function Question({ title, yes, danger, busy, problem, onYes, onNo, no, children }) {
  const dialog = useRef(/** @type {any} */ (null));
  const id = useId();
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onCancel=${(/** @type {Event} */ e) => {
    e.preventDefault();
    onNo();
  }}>
    <h2 id=${id}>${title}</h2>
    ${children}
    <${ProblemBox} problem=${problem ?? null} />
    <div class="buttons">
      ${no === null ? null : html`<${Button} onClick=${onNo}>${no ?? t("Cancel")}<//>`}
      <${Button} class=${danger ? "danger" : "main"} busy=${busy} onClick=${onYes}>${yes}<//>
    </div>
  </dialog>`;
}

/** A value to take along. @param {{text: string, label: string, help?: string}} props */
export function Copyable({ text, label, help }) {
  const [copied, setCopied] = useState(false);
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  const id = useId();
  const copy = async () => {
    field.current?.select();
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      setCopied(false); // no clipboard without HTTPS: the text stays selected, to be copied by hand
    }
  };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="copyable">
      <input id=${id} ref=${field} type="text" readonly value=${text} onFocus=${(/** @type {any} */ e) => e.currentTarget.select()} />
      <${Button} onClick=${copy}>${copied ? t("Copied") : t("Copy")}<//>
    </div>
    ${help ? html`<p class="help">${help}</p>` : null}
  </div>`;
}

/** A table of values, with its name for those who cannot see it. @param {any} props */
export function Table({ caption, head, children, class: name }) {
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0"><table class=${name}>
    <caption class="unseen">${caption}</caption>
    <thead><tr>${head.map((/** @type {string} */ text) => html`<th scope="col" key=${text}>${text}</th>`)}</tr></thead>
    <tbody>${children}</tbody>
  </table></div>`;
}

/** The last guard: a fault of ours is said in one sentence instead of a blank page. */
export class Guard extends Component {
  /** @override @param {unknown} error */
  componentDidCatch(error) {
    console.error(error);
    this.setState({ broken: true });
  }

  /** @param {any} props @param {any} state */
  render(props, state) {
    if (!state.broken) return props.children;
    return html`<div class="box bad" role="alert"><p>${t(
      "This page has a fault. Charging is not affected. Load the page again; if it happens again, tell the makers.",
    )}</p><p class="code">${t("Code: {code}", { code: "page-fault" })}</p></div>`;
  }
}
