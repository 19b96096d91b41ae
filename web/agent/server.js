// Which cloud server is meant by what stands in the field.

/** The name alone, as it is compared: without scheme, default port and case. @param {string} server */
function plainServer(server) {
  return server.trim().toLowerCase().replace(/^https:\/\//, "").replace(/\/+$/, "").replace(/:4443$/, "");
}

/** Whether another server than the default one is meant. @param {string} server @param {string|undefined} standard */
export function isOwnServer(server, standard) {
  const plain = plainServer(server);
  return plain !== "" && plain !== plainServer(standard ?? "");
}
