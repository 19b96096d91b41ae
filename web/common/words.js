// Sentences for people. English stands in the code; the catalogue of the page's language is fetched once.

/** The language of this page, from its path: the server wrote it into the html element. */
export const language = document.documentElement.lang || "en";

/** @type {Record<string, string>} */
let catalogue = {};

/** Fetch the catalogue; without it the page speaks English, which is better than not at all. */
export async function loadWords() {
  if (language === "en") return;
  try {
    const answer = await fetch(`/ui/locale/${language}.json`);
    if (answer.ok) catalogue = await answer.json();
  } catch {
    catalogue = {};
  }
}

/**
 * Fill the `{name}` fields of a sentence. What is not given stays visible as it is.
 * @param {string} sentence @param {Record<string, unknown>} [fields]
 */
export function filled(sentence, fields) {
  if (!fields) return sentence;
  return sentence.replace(/\{(\w+)(?::[^}]*)?\}/g, (whole, name) => (name in fields ? String(fields[name]) : whole));
}

/**
 * The sentence in the page's language.
 * @param {string} sentence @param {Record<string, unknown>} [fields]
 */
export function t(sentence, fields) {
  return filled(catalogue[sentence] || sentence, fields);
}

/**
 * Singular or plural by the language's own rule; `{n}` is the number, formatted.
 * @param {string} one @param {string} many @param {number} n @param {Record<string, unknown>} [fields]
 */
export function tn(one, many, n, fields) {
  const rule = new Intl.PluralRules(language).select(n);
  return t(rule === "one" ? one : many, { n: new Intl.NumberFormat(language).format(n), ...fields });
}
