// Powers as the grid operator speaks of them: in kilowatts, with two digits.
import { DASH, fieldNumber, known, number, typedNumber } from "../common/format.js";
import { Problem } from "../common/api.js";
import { t } from "../common/words.js";

/** @param {number|null} watts */
export const kilowatts = (watts) => (known(watts) ? `${number(watts / 1000, 2)}\u00a0kW` : DASH);

/** As a field shows it. @param {number|null} watts */
export const fieldKilowatts = (watts) => (known(watts) ? fieldNumber(watts / 1000) : "");

/** In watts, what was typed in kilowatts; null where nothing was. @param {string} text @param {string} where */
export function typedWatts(text, where) {
  if (!text.trim()) return null;
  const value = typedNumber(text);
  if (!Number.isFinite(value)) throw new Problem(0, "no-number", t("A number is needed here: correct the marked field."), where);
  return Math.round(value * 1000);
}
