// Log level and last lines, for both daemons.
import { get, problemFrom, put } from "./api.js";
import { exactly } from "./format.js";
import { Button, DoneBox, ProblemBox, SelectField, useTask } from "./parts.js";
import { html, useEffect, useState } from "./ui.js";
import { t } from "./words.js";

/** @typedef {{at: string, level: string|number, text: string}} LogLine */

const names = () =>
  /** @type {[string, string][]} */ ([
    ["1", t("1 – Errors")],
    ["2", t("2 – Warnings")],
    ["3", t("3 – Information")],
    ["4", t("4 – Data")],
  ]);

/** The word of a line's level, 1 to 4. @param {string|number} level */
const levelName = (level) => names().find(([key]) => key === String(level))?.[1].replace(/^\d – /, "") ?? level;

/** @param {{levelPath: string, linesPath: string|null}} props */
export function LogPanel({ levelPath, linesPath }) {
  const task = useTask();
  const [level, setLevel] = useState(/** @type {string|null} */ (null));
  const [lines, setLines] = useState(/** @type {LogLine[]|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const load = async () => {
    try {
      setLevel(String((await get(levelPath)).level));
      if (linesPath) setLines((await get(linesPath)).lines);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), []);
  /** @param {string} wish */
  const choose = (wish) =>
    task.run(async () => {
      await put(levelPath, { level: Number(wish) });
      setLevel(wish);
      setDone(t("Log level {level} holds from now on.", { level: wish }));
    });
  return html`<section aria-labelledby="log"><h2 id="log">${t("Log")}</h2>
    <${ProblemBox} problem=${problem ?? task.problem} />
    ${level === null
      ? null
      : html`<div class="narrow"><${SelectField} label=${t("Log level")} name="level" value=${level} options=${names()} disabled=${task.busy}
          onValue=${(/** @type {string} */ wish) => void choose(wish)} /></div><${DoneBox} text=${done} />`}
    ${lines === null
      ? null
      : html`<h3>${t("Last lines")}</h3>
        <div class="buttons"><${Button} onClick=${() => void load()}>${t("Load again")}<//></div>
        ${lines.length
          ? html`<div class="scroll log" role="region" aria-label=${t("Last lines")} tabindex="0"><ol>${lines.map(
              (line, index) => html`<li key=${index} class=${`level-${line.level}`}><time datetime=${line.at}>${exactly(line.at)}</time>${" "}
                <span class="level">${levelName(line.level)}</span>${" "}<span>${line.text}</span></li>`,
            )}</ol></div>`
          : html`<p>${t("Nothing yet.")}</p>`}`}
  </section>`;
}
