// An OpenID Connect provider on the loopback: oidc-provider, with its own login pages.
//
//   PORT in the environment; prints a line when it listens
//
// Who logs in as NAME has the address NAME@example.org, which is verified but for mallory.
// A token for the resource https://jwt.example is a JWT, one for https://opaque.example
// is not; both are for the audience "mail".
import Provider from "oidc-provider";

const { PORT } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;

const resource = {
  "https://jwt.example": { accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } },
  "https://opaque.example": { accessTokenFormat: "opaque" },
};

const { subtle } = globalThis.crypto;
async function jwk(algorithm, alg) {
  const pair = await subtle.generateKey(algorithm, true, ["sign", "verify"]);
  return { ...(await subtle.exportKey("jwk", pair.privateKey)), alg, use: "sig", kid: alg };
}
const modulus = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
const keys = [
  await jwk({ name: "ECDSA", namedCurve: "P-256" }, "ES256"),
  await jwk({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", ...modulus }, "RS256"),
].map(({ key_ops, ext, ...rest }) => rest);

const provider = new Provider(issuer, {
  jwks: { keys },
  cookies: { keys: ["of a test"] },
  clients: [
    {
      client_id: "webmail",
      client_secret: "webmail-secret",
      redirect_uris: ["http://127.0.0.1:1/callback"],
      grant_types: ["authorization_code", "refresh_token"],
    },
    {
      client_id: "mailhive",
      client_secret: "mailhive: secret/+%",
      redirect_uris: [],
      response_types: [],
      grant_types: [],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: `${id}@example.org`,
      email_verified: id !== "mallory",
    }),
  }),
  features: {
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => ({
        scope: "jmap",
        audience: "mail",
        ...resource[indicator],
      }),
    },
  },
});
provider.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));
