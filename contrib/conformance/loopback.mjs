// Preloaded into the suite: it may talk to this machine only.  The suite would
// otherwise have push notifications relayed by a public service.
const real = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const { hostname } = new URL(input instanceof Request ? input.url : input);
  if (!["127.0.0.1", "localhost", "[::1]"].includes(hostname) && hostname !== process.env.JMAP_HOST)
    throw new TypeError(`not fetched from a conformance run: ${hostname}`);
  return real(input, init);
};
