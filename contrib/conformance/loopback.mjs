// Preloaded into the suite: it may talk to this machine only.
//
// The suite has push notifications relayed by a public service, whose part is taken
// here: a new channel is a URL below https://localhost:PORT/, and what is posted there
// goes to whoever reads the channel.  RELAY_CERTIFICATE and RELAY_KEY are PEM files for
// it; without them there is no relay.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const RELAY = "https://smee.io/new";
const { JMAP_HOST, RELAY_CERTIFICATE, RELAY_KEY } = process.env;
const real = globalThis.fetch;
const readers = new Map(); // the stream of each channel, by its URL
const encoder = new TextEncoder();

async function listen() {
  const server = createServer(
    { cert: readFileSync(RELAY_CERTIFICATE), key: readFileSync(RELAY_KEY) },
    async (request, response) => {
      const channel = base + request.url;
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      if (request.method === "POST")
        readers.get(channel)?.enqueue(encoder.encode(`data: {"body":${body}}\n\n`));
      response.writeHead(readers.has(channel) ? 200 : 404).end();
    },
  );
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return `https://localhost:${server.address().port}`;
}
const base = RELAY_CERTIFICATE && (await listen());

function read(channel, signal) {
  const stream = new ReadableStream({
    start(controller) {
      readers.set(channel, controller);
      controller.enqueue(encoder.encode("event: ready\ndata: {}\n\n"));
      signal?.addEventListener("abort", () => {
        readers.set(channel, null);
        controller.error(signal.reason);
      });
    },
  });
  return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
}

globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (base && url.href === RELAY) {
    const channel = `${base}/${randomUUID()}`;
    readers.set(channel, null);
    return new Response(null, { status: 307, headers: { Location: channel } });
  }
  if (readers.has(url.href) && (init?.method ?? "GET") === "GET")
    return read(url.href, init?.signal);
  if (!["127.0.0.1", "localhost", "[::1]", JMAP_HOST].includes(url.hostname))
    throw new TypeError(`not fetched from a conformance run: ${url.hostname}`);
  return real(input, init);
};
