"use strict";
// A web client of a server of another origin, as far as the tests need one.

const TICKETS = "urn:uuid:accc534d-23b3-4935-be2a-985ad5bf4570";
const WEBSOCKET = "urn:ietf:params:jmap:websocket";
const CORE = "urn:ietf:params:jmap:core";
const MAIL = "urn:ietf:params:jmap:mail";

// Fulfilled as soon as `condition()` holds.
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
};

class Client {
  constructor(server, login, password) {
    this.server = server;
    this.headers = { Authorization: "Basic " + btoa(`${login}:${password}`) };
    this.calls = []; // names of the methods called
    this.emails = new Set(); // ids
    this.emailState = null;
    this.seen = { socket: [], events: [] }; // StateChanges
    this.pushState = { socket: null, events: null };
    this.open = { socket: null, events: null };
    this.listening = { socket: false, events: false };
    this.network = []; // what the browser said of it
  }

  async fetch(url, options = {}) {
    const headers = { ...this.headers, ...options.headers };
    return fetch(url, { ...options, headers });
  }

  async login() {
    const answer = await this.fetch(this.server + "/.well-known/jmap");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    this.session = await answer.json();
    this.accountId = this.session.primaryAccounts[MAIL];
    return this.session;
  }

  async call(name, args = {}) {
    this.calls.push(name);
    const answer = await this.fetch(this.session.apiUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        using: [CORE, MAIL],
        methodCalls: [[name, { accountId: this.accountId, ...args }, "0"]],
      }),
    });
    return (await answer.json()).methodResponses[0][1];
  }

  async ticket() {
    const { url } = this.session.capabilities[TICKETS];
    const answer = await this.fetch(url, { method: "POST" });
    return (await answer.json()).ticket;
  }

  socketUrl(ticket) {
    return `${this.session.capabilities[WEBSOCKET].url}?ticket=${ticket}`;
  }

  eventsUrl(ticket, { types = "*", closeafter = "no", ping = 0 } = {}) {
    const values = { types, closeafter, ping };
    const url = this.session.eventSourceUrl.replace(/{(\w+)}/g, (_, name) => values[name]);
    return `${url}&ticket=${ticket}`;
  }

  async download(blobId, type, name) {
    const values = { accountId: this.accountId, blobId, type, name };
    return this.fetch(this.session.downloadUrl.replace(
      /{(\w+)}/g, (_, name) => encodeURIComponent(values[name])));
  }

  async upload(body, type) {
    return this.fetch(this.session.uploadUrl.replace("{accountId}", this.accountId), {
      method: "POST", headers: { "Content-Type": type }, body,
    });
  }

  // Everything there is, once; from then on only what changes.
  async start() {
    await this.login();
    const { state } = await this.call("Email/get", { ids: [] });
    const { ids } = await this.call("Email/query");
    this.emails = new Set(ids);
    this.emailState = state;
    for (const word of ["offline", "online"])
      addEventListener(word, () => this.networkIs(word));
    await Promise.all([this.listen("socket"), this.listen("events")]);
    await until(() => this.isListening());
  }

  isListening() {
    return this.listening.socket && this.listening.events;
  }

  networkIs(word) {
    this.network.push(word);
    if (word === "offline") for (const channel of ["socket", "events"]) this.lost(channel);
  }

  async listen(channel) {
    try {
      const ticket = await this.ticket();
      if (channel === "socket") this.openSocket(ticket);
      else this.openEvents(ticket);
    } catch {
      this.lost(channel);
    }
  }

  openSocket(ticket) {
    const socket = new WebSocket(this.socketUrl(ticket), "jmap");
    this.open.socket = socket;
    // What is answered behind it says that push has begun.
    socket.onopen = () => [
      { "@type": "WebSocketPushEnable", dataTypes: null, pushState: this.pushState.socket },
      { "@type": "Request", using: [CORE], methodCalls: [["Core/echo", {}, "0"]] },
    ].forEach((message) => socket.send(JSON.stringify(message)));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message["@type"] === "StateChange")
        this.changed("socket", message.changed, message.pushState);
      else this.listening.socket = true;
    };
    socket.onclose = () => this.open.socket === socket && this.lost("socket");
  }

  openEvents(ticket) {
    const last = this.pushState.events;
    const events = new EventSource(
      this.eventsUrl(ticket) + (last === null ? "" : "&lasteventid=" + encodeURIComponent(last)));
    this.open.events = events;
    events.onopen = () => { this.listening.events = true; };
    events.addEventListener("state", ({ data, lastEventId }) =>
      this.changed("events", JSON.parse(data).changed, lastEventId));
    // It would come back by itself, with a ticket that was used.
    events.onerror = () => this.open.events === events && this.lost("events");
  }

  // A connection has ended: make another one, when there is a network.
  lost(channel) {
    const { [channel]: connection } = this.open;
    this.open[channel] = null;
    this.listening[channel] = false;
    connection?.close();
    clearTimeout(this["retry " + channel]);
    this["retry " + channel] = setTimeout(
      () => navigator.onLine ? this.listen(channel) : this.lost(channel), 100);
  }

  changed(channel, changed, pushState) {
    this.seen[channel].push(changed);
    this.pushState[channel] = pushState;
    this.synchronized = (this.synchronized ?? Promise.resolve()).then(() => this.synchronize(
      changed[this.accountId]?.Email));
  }

  async synchronize(state) {
    while (state !== undefined && this.emailState !== state) {
      const { created, destroyed, newState, hasMoreChanges } =
        await this.call("Email/changes", { sinceState: this.emailState });
      for (const id of created) this.emails.add(id);
      for (const id of destroyed) this.emails.delete(id);
      this.emailState = newState;
      if (!hasMoreChanges) return;
    }
  }
}
