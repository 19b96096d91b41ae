// Numbers as they are typed into fields: a fault is marked at its field before anything is sent.
import { Problem } from "../common/api.js";
import { typedNumber } from "../common/format.js";
import { t } from "../common/words.js";

/**
 * The number that was typed. Raises: Problem at the field `where`, with `sentence` or one that fits.
 * @param {string} text @param {string} where @param {{least?: number, whole?: boolean, sentence?: string}} [rule]
 */
export function typed(text, where, { least = -Infinity, whole = false, sentence } = {}) {
  const value = typedNumber(text);
  if (Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value))) return value;
  const plain = least === 0 ? t("Enter a number, 0 or more.") : t("A number is needed here: correct the marked field.");
  throw new Problem(0, "no-number", sentence ?? plain, where);
}

/** The same, or null where nothing was typed. @param {string} text @param {string} where @param {{least?: number, whole?: boolean, sentence?: string}} [rule] */
export const typedOrNull = (text, where, rule) => (text.trim() === "" ? null : typed(text, where, rule));

/** Of a user or a charge point, in the words of the server. @returns {{whole: boolean, sentence: string}} */
export const priorityRule = () => ({ whole: true, sentence: t("a whole number from -1000 to 1000; higher is served first") });
