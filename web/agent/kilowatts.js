// Powers as the grid operator speaks of them: in kilowatts, with two digits.
import { DASH, fieldNumber, known, number } from "../common/format.js";
import { typedOrNull } from "./typed.js";

/** @param {number|null} watts */
export const kilowatts = (watts) => (known(watts) ? `${number(watts / 1000, 2)}\u00a0kW` : DASH);

/** As a field shows it. @param {number|null} watts */
export const fieldKilowatts = (watts) => (known(watts) ? fieldNumber(watts / 1000) : "");

/** In watts, what was typed in kilowatts; null where nothing was. @param {string} text @param {string} where */
export function typedWatts(text, where) {
  const value = typedOrNull(text, where);
  return value === null ? null : Math.round(value * 1000);
}
