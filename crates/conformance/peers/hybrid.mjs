// npm @noble/post-quantum and node:crypto as verifiers of composite signatures, one half each
// (draft-ietf-lamps-pq-composite-sigs: id-MLDSA44-ECDSA-P256-SHA256).
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa";
import { createHash, createPublicKey, verify } from "node:crypto";
import { fromHex, serve } from "./lines.mjs";

const ML_DSA_KEY = 1312;
const ML_DSA_SIGNATURE = 2420;
const PREFIX = Buffer.from("CompositeAlgorithmSignatures2025");
const LABEL = Buffer.from("COMPSIG-MLDSA44-ECDSA-P256-SHA256");

function p256(point) {
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => Buffer.from(part).toString("base64url"));
  return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
}

await serve({
  // {key, message, signature, context: hex}: what each half says, and that the order of both is as the draft has it.
  verify_halves: ({ key, message, signature, context }) => {
    const [both, signed] = [fromHex(key), fromHex(signature)];
    const digest = createHash("sha256").update(fromHex(message)).digest();
    const inner = Buffer.concat([PREFIX, LABEL, Buffer.from([0]), digest]);
    const label = context === undefined ? LABEL : fromHex(context);
    const half = signed.subarray(0, ML_DSA_SIGNATURE);
    return {
      ml_dsa: ml_dsa44.verify(both.subarray(0, ML_DSA_KEY), inner, half, label),
      es256: verify("sha256", inner, { key: p256(both.subarray(ML_DSA_KEY)), dsaEncoding: "der" }, signed.subarray(ML_DSA_SIGNATURE)),
    };
  },
});
