// npm @openid4vc/openid4vci as a wallet that obtains credentials from a running issuer:
// OpenID4VCI 1.0, pre-authorized code, transaction code, DPoP, proofs of possession, a batch.
import {
  clientAuthenticationAnonymous, preAuthorizedCodeGrantIdentifier, setGlobalConfig,
} from "@openid4vc/oauth2";
import { createKeyAttestationJwt, Openid4vciClient } from "@openid4vc/openid4vci";
import { compact, hash, newKey, publicJwk, random } from "./jose.mjs";
import { serve } from "./lines.mjs";

// The issuer under test listens on loopback, without TLS.
setGlobalConfig({ allowInsecureUrls: true });

// Keys by public x, so that a signer named by its public key finds its private one.
const keys = new Map();
const fresh = () => {
  const jwk = newKey();
  keys.set(jwk.x, jwk);
  return jwk;
};

const callbacks = {
  fetch, hash,
  generateRandom: random,
  clientAuthentication: clientAuthenticationAnonymous(),
  signJwt: async (jwtSigner, { header, payload }) => {
    const jwk = keys.get(jwtSigner.publicJwk.x);
    return { jwt: compact(header, payload, jwk), signerJwk: publicJwk(jwk) };
  },
};

const signerOf = (jwk) => ({ method: "jwk", alg: "ES256", publicJwk: publicJwk(jwk) });

async function attestation({ issuer, key_storage }, attested, nonce) {
  // The library writes the type of a draft; OpenID4VCI 1.0, appendix D.1, has a hyphen in it.
  const signJwt = async (_, { header, payload }) =>
    ({ jwt: compact({ ...header, typ: "key-attestation+jwt" }, payload, issuer), signerJwk: publicJwk(issuer) });
  return createKeyAttestationJwt({
    callbacks: { ...callbacks, signJwt }, signer: signerOf(issuer), attestedKeys: attested.map(publicJwk),
    keyStorage: key_storage, expiresAt: new Date(Date.now() + 300_000), nonce, use: "proof_type.jwt",
  });
}

await serve({
  // {offer, tx_code, format, batch, notify, attestation: {issuer: private jwk, key_storage}}
  async obtain(request) {
    const client = new Openid4vciClient({ callbacks });
    const credentialOffer = await client.resolveCredentialOffer(request.offer);
    const issuerMetadata = await client.resolveIssuerMetadata(credentialOffer.credential_issuer);
    const dpopSigner = { signer: signerOf(fresh()) };
    const token = await client.retrievePreAuthorizedCodeAccessTokenFromOffer({
      credentialOffer, issuerMetadata, txCode: request.tx_code, dpop: dpopSigner,
    });
    const accessToken = token.accessTokenResponse.access_token;
    const supported = issuerMetadata.credentialIssuer.credential_configurations_supported;
    const credentialConfigurationId = credentialOffer.credential_configuration_ids.find(
      (id) => supported[id].format === request.format);
    const { c_nonce: nonce } = await client.requestNonce({ issuerMetadata });
    const devices = Array.from({ length: request.batch ?? 1 }, fresh);
    const keyAttestationJwt = request.attestation && await attestation(request.attestation, devices, nonce);
    const proofs = await Promise.all(devices.map((device) => client.createCredentialRequestJwtProof({
      issuerMetadata, credentialConfigurationId, nonce, keyAttestationJwt, signer: signerOf(device),
    })));
    const { credentialResponse, dpop } = await client.retrieveCredentials({
      issuerMetadata, accessToken, credentialConfigurationId,
      proofs: { jwt: proofs.map(({ jwt }) => jwt) }, dpop: token.dpop ?? dpopSigner,
    });
    if (request.notify && credentialResponse.notification_id) {
      await client.sendNotification({
        issuerMetadata, accessToken, dpop: dpop ?? token.dpop ?? dpopSigner,
        notification: { notificationId: credentialResponse.notification_id, event: "credential_accepted" },
      });
    }
    return {
      grant: Object.keys(credentialOffer.grants ?? {}).includes(preAuthorizedCodeGrantIdentifier),
      token_type: token.accessTokenResponse.token_type,
      configuration: credentialConfigurationId,
      credentials: (credentialResponse.credentials ?? []).map((one) => one.credential ?? one),
      notification: credentialResponse.notification_id,
      devices,
    };
  },
});
