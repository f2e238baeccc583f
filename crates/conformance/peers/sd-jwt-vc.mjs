// npm @sd-jwt/sd-jwt-vc as issuer, holder and verifier of SD-JWT VCs, and
// @sd-jwt/jwt-status-list as reader of status lists.
import { createHeaderAndPayload, getListFromStatusListJWT, StatusList } from "@sd-jwt/jwt-status-list";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { serve, verdict } from "./lines.mjs";
import { compact, hash, random, signer, verifier } from "./jose.mjs";

const seconds = (at) => Math.floor(new Date(at).getTime() / 1000);

const instance = ({ issuer, signer: signerJwk, device, status_token, status_issuer }) => new SDJwtVcInstance({
  hasher: (data, algorithm) => hash(typeof data === "string" ? data : new Uint8Array(data), algorithm),
  hashAlg: "sha-256",
  saltGenerator: (length) => Buffer.from(random(length)).toString("base64url"),
  signAlg: "ES256",
  ...(signerJwk && { signer: signer(signerJwk) }),
  ...(issuer && { verifier: verifier(issuer) }),
  ...(device && { kbSignAlg: "ES256", kbSigner: signer(device) }),
  kbVerifier: (data, signature, payload) => verifier(payload.cnf.jwk)(data, signature),
  ...(status_token && { statusListFetcher: async () => status_token, statusVerifier: verifier(status_issuer) }),
});

await serve({
  // {claims, disclosable: [name], signer: private jwk}
  async issue(request) {
    return { document: await instance(request).issue(request.claims, { _sd: request.disclosable }) };
  },

  // {document, disclose: [name], audience, nonce, at, device: private jwk}
  async present(request) {
    const frame = Object.fromEntries(request.disclose.map((name) => [name, true]));
    const binding = request.nonce
      && { kb: { payload: { aud: request.audience, nonce: request.nonce, iat: seconds(request.at) } } };
    return { document: await instance(request).present(request.document, frame, binding) };
  },

  // {document, issuer: jwk, at, nonce, status_token, status_issuer: jwk}; it leaves the audience to its caller.
  verify: (request) => verdict(async () => {
    const options = { currentDate: seconds(request.at), ...(request.nonce && { keyBindingNonce: request.nonce }) };
    const { payload, kb } = await instance(request).verify(request.document, options);
    return { claims: payload, audience: kb?.payload.aud };
  }),

  // {statuses: [n], bits, claims, signer: private jwk}
  async issue_status({ statuses, bits, claims, signer: signerJwk }) {
    const list = new StatusList(statuses, bits);
    const { header, payload } = createHeaderAndPayload(list, claims, { alg: "ES256", typ: "statuslist+jwt" });
    return { token: compact(header, payload, signerJwk) };
  },

  // {token, indices: [n]}; this reads, and checks no signature.
  async read_status({ token, indices }) {
    const list = getListFromStatusListJWT(token);
    return { bits: list.getBitsPerStatus(), statuses: indices.map((index) => list.getStatus(index)) };
  },
});
