// The npm package oidc-provider as an issuer for tests: who its clients are, and how it signs, stands in a file.
//
//   node provider.mjs FILE        with SLUICEGATE_OIDC_PROVIDER as `scripts/oidc-provider dist` prints it
//
// The file is JSON: `port`; `keys`, private ones, each with `kid`, `alg` and `pem`, the first of an algorithm signs;
// `clients`, each with `metadata` as client registration knows it, and `tokens`: their `format` (jwt or opaque),
// `audience`, `lifetime` in seconds, and of a jwt its `alg`. A client with a key has its public one as `key`, with
// `kid` and `pem`, or in its metadata. Everything is kept in memory.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const home = createRequire(join(process.env.SLUICEGATE_OIDC_PROVIDER, 'package.json'));
const { default: Provider, errors } = await import(pathToFileURL(home.resolve('oidc-provider')));

const file = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tokensOf = new Map(file.clients.map(({ metadata, tokens }) => [metadata.client_id, tokens]));

const provider = new Provider(`http://127.0.0.1:${file.port}`, {
  clients: file.clients.map(({ metadata, key }) => ({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    ...metadata,
    ...(key && { jwks: { keys: [{ ...createPublicKey(key.pem).export({ format: 'jwk' }), kid: key.kid }] } }),
  })),
  jwks: {
    keys: file.keys.map(({ kid, alg, pem }) => ({
      ...createPrivateKey(pem).export({ format: 'jwk' }), kid, alg, use: 'sig',
    })),
  },
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_, client) => tokensOf.get(client.clientId).audience,
      getResourceServerInfo(_, resource, client) {
        const { audience, format, lifetime, alg } = tokensOf.get(client.clientId);
        if (resource !== audience) throw new errors.InvalidTarget();
        return {
          audience,
          scope: 'kafka',
          accessTokenFormat: format,
          accessTokenTTL: lifetime,
          ...(format === 'jwt' && { jwt: { sign: { alg } } }),
        };
      },
    },
  },
});
for (const event of ['grant.error', 'introspection.error', 'revocation.error', 'server_error']) {
  provider.on(event, (_, error) => console.error(event, error.message, error.error_detail ?? ''));
}
provider.listen(file.port, '127.0.0.1');
