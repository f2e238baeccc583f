// Compact JWS by node:crypto, for the peers that leave signing to their host.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";

const es256 = (key) => ({ key, dsaEncoding: "ieee-p1363" });

export const publicJwk = ({ kty, crv, x, y }) => ({ kty, crv, x, y });
export const newKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
export const random = (length) => new Uint8Array(randomBytes(length));
export const hash = (data, algorithm) => new Uint8Array(createHash(algorithm.replace("-", "")).update(data).digest());

export const signer = (jwk) => (data) =>
  sign("sha256", Buffer.from(data), es256(createPrivateKey({ key: jwk, format: "jwk" }))).toString("base64url");
export const verifier = (jwk) => (data, signature) => verify(
  "sha256", Buffer.from(data), es256(createPublicKey({ key: publicJwk(jwk), format: "jwk" })), Buffer.from(signature, "base64url"));

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
export function compact(header, payload, jwk) {
  const data = `${part(header)}.${part(payload)}`;
  return `${data}.${signer(jwk)(data)}`;
}
