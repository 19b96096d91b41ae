// IDs and passwords for installations, proposed by this browser's own random numbers.

/** Without the characters that people confuse when they copy by hand. */
const LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const SMALL = "0123456789abcdefghjkmnpqrstvwxyz";

/** @param {string} alphabet @param {number} length */
function random(alphabet, length) {
  let text = "";
  const pool = new Uint8Array(64);
  while (text.length < length) {
    crypto.getRandomValues(pool);
    for (const byte of pool) {
      // The part of a byte's range that is no whole multiple would make some letters likelier.
      if (byte < alphabet.length * Math.floor(256 / alphabet.length) && text.length < length) {
        text += alphabet[byte % alphabet.length];
      }
    }
  }
  return text;
}

/** 20 characters, about 116 bits. @param {number} [length] */
export const proposedPassword = (length = 20) => random(LETTERS, length);

/** 50 bits: nobody finds it by trying. */
export const proposedId = () => `${random(SMALL, 5)}-${random(SMALL, 5)}`;
