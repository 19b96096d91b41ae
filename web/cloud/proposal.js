// A password for a new installation, proposed by this browser's own random numbers.

/** Without the characters that people confuse when they copy by hand. */
const LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/** 20 characters, about 116 bits. @param {number} [length] */
export function proposedPassword(length = 20) {
  let password = "";
  const pool = new Uint8Array(64);
  while (password.length < length) {
    crypto.getRandomValues(pool);
    for (const byte of pool) {
      // The part of a byte's range that is no whole multiple would make some letters likelier.
      if (byte < LETTERS.length * Math.floor(256 / LETTERS.length) && password.length < length) {
        password += LETTERS[byte % LETTERS.length];
      }
    }
  }
  return password;
}
