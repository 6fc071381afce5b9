// List, read, flag and move one message with jmap-jam; print what it saw as JSON.
//
//   SESSION_URL, LOGIN, PASSWORD, SUBJECT in the environment
import { JamClient } from "jmap-jam";

const { SESSION_URL, LOGIN, PASSWORD, SUBJECT } = process.env;
const basic = "Basic " + Buffer.from(`${LOGIN}:${PASSWORD}`).toString("base64");

// jmap-jam knows bearer tokens only, but both of these members are public.
const jam = new JamClient({ sessionUrl: SESSION_URL, bearerToken: "" });
await jam.session.catch(() => {});
jam.authHeader = basic;
jam.session = JamClient.loadSession(SESSION_URL, basic);

const accountId = await jam.getPrimaryAccount();
const [mailboxes] = await jam.api.Mailbox.get({ accountId, ids: null });
const inbox = mailboxes.list.find((mailbox) => mailbox.role === "inbox");

// List
const [{ found, listed }] = await jam.requestMany((t) => {
  const found = t.Email.query({
    accountId,
    filter: { inMailbox: inbox.id, subject: SUBJECT },
    sort: [{ property: "receivedAt", isAscending: false }],
    calculateTotal: true,
  });
  const listed = t.Email.get({
    accountId,
    ids: found.$ref("/ids"),
    properties: ["id", "blobId", "subject", "from", "preview", "keywords", "mailboxIds"],
  });
  return { found, listed };
});
const email = listed.list[0];

// Read
const [read] = await jam.api.Email.get({
  accountId,
  ids: [email.id],
  properties: ["bodyValues", "textBody"],
  fetchTextBodyValues: true,
});
const blob = await jam.downloadBlob({
  accountId,
  blobId: email.blobId,
  mimeType: "message/rfc822",
  fileName: "message.eml",
});

// Flag
const [flagged] = await jam.api.Email.set({
  accountId,
  update: { [email.id]: { "keywords/$flagged": true, "keywords/$seen": true } },
});

// Move, to a mailbox of its own
const [made] = await jam.api.Mailbox.set({ accountId, create: { filed: { name: "Filed by Jam" } } });
const filed = made.created.filed.id;
const [moved] = await jam.api.Email.set({
  accountId,
  update: { [email.id]: { mailboxIds: { [filed]: true } } },
});

const [after] = await jam.api.Email.get({
  accountId,
  ids: [email.id],
  properties: ["keywords", "mailboxIds"],
});
const [counts] = await jam.api.Mailbox.get({
  accountId,
  ids: [filed],
  properties: ["totalEmails", "unreadEmails"],
});
console.log(
  JSON.stringify({
    total: found.total,
    email,
    text: read.list[0].bodyValues[read.list[0].textBody[0].partId].value,
    blob: await blob.text(),
    flagged,
    moved,
    filed,
    after: after.list[0],
    counts: counts.list[0],
  }),
);
