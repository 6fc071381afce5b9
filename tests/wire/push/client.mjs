// Receive a change by each channel and client, from one page's worth of code; print
// what was seen as JSON.
//
//   SESSION_URL, LOGIN, PASSWORD in the environment; a line on the standard output
//   says that all are listening, a message has to be delivered then
import { EventSource } from "eventsource";
import WS from "ws";

const { SESSION_URL, LOGIN, PASSWORD } = process.env;
const login = { Authorization: "Basic " + Buffer.from(`${LOGIN}:${PASSWORD}`).toString("base64") };
const session = await (await fetch(SESSION_URL, { headers: login })).json();
const accountId = session.primaryAccounts["urn:ietf:params:jmap:mail"];
const { url, supportsPush } = session.capabilities["urn:ietf:params:jmap:websocket"];
const tickets = session.capabilities["urn:uuid:accc534d-23b3-4935-be2a-985ad5bf4570"];
const ticket = async () => {
  const answer = await fetch(tickets.url, { method: "POST", headers: login });
  return (await answer.json()).ticket;
};

const enable = { "@type": "WebSocketPushEnable", dataTypes: null };
const echo = {
  "@type": "Request",
  id: "R1",
  using: ["urn:ietf:params:jmap:core"],
  methodCalls: [["Core/echo", { text: "x".repeat(5000) }, "c"]],
};

// A socket of the package ws or of the platform: its first response, its first change.
const talk = (socket) => {
  const seen = {};
  const { promise: ready, resolve: answered } = Promise.withResolvers();
  const { promise: change, resolve: changed, reject } = Promise.withResolvers();
  socket.onopen = () => {
    socket.send(JSON.stringify(enable));
    socket.send(JSON.stringify(echo));
  };
  socket.onerror = (event) => reject(event.message ?? "error");
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message["@type"] === "Response") answered((seen.response = message));
    else {
      seen.change = message;
      socket.onclose = ({ code }) => changed({ ...seen, protocol: socket.protocol, code });
      socket.close(1000);
    }
  };
  return [ready, change];
};

const listen = (place, options) => {
  const source = new EventSource(place, options);
  const { promise: ready, resolve: opened } = Promise.withResolvers();
  const { promise: change, resolve: changed, reject } = Promise.withResolvers();
  source.onopen = opened;
  source.onerror = (event) => reject(event.message ?? "error");
  source.addEventListener("state", ({ data, lastEventId }) => {
    source.close();
    changed({ change: JSON.parse(data), lastEventId });
  });
  return [ready, change];
};

const events = session.eventSourceUrl
  .replace("{types}", "*")
  .replace("{closeafter}", "no")
  .replace("{ping}", "0");
const withLogin = (place, init) => fetch(place, { ...init, headers: { ...init.headers, ...login } });
const channels = {
  ws: talk(new WS(url, "jmap", { headers: login })),
  browserSocket: talk(new WebSocket(`${url}?ticket=${await ticket()}`, "jmap")),
  eventsource: listen(events, { fetch: withLogin }),
  browserEvents: listen(`${events}&ticket=${await ticket()}`),
};
await Promise.all(Object.values(channels).map(([ready]) => ready));
console.log("listening");
const seen = { accountId, supportsPush };
for (const [name, [, change]] of Object.entries(channels)) seen[name] = await change;
console.log(JSON.stringify(seen));
process.exit(0);
