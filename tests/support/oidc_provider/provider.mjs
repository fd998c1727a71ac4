// The test issuer: oidc-provider over TLS on loopback, its keys rotated through an admin port.
// Usage: node provider.mjs CONFIG.json   (see oidc.py, which writes it)
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const cfg = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const require = createRequire(`${cfg.modules}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const users = new Map(Object.entries(cfg.users));

function newKey(alg) {
  const pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg] })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = createPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })).export({ format: 'jwk' });
  return { ...jwk, kid: randomBytes(8).toString('hex'), alg, use: 'sig' };
}

let keys = [newKey(cfg.alg)];

function build() {
  const provider = new Provider(cfg.issuer, {
    clients: [{
      client_id: cfg.clientId,
      client_secret: cfg.clientSecret,
      redirect_uris: [cfg.redirectUri],
      token_endpoint_auth_method: 'client_secret_post',
      response_types: ['code'],
      grant_types: ['authorization_code'],
      id_token_signed_response_alg: cfg.alg,
    }],
    jwks: { keys },
    cookies: { keys: [cfg.cookieKey] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    conformIdTokenClaims: false, // claims in the ID token itself, as Kubernetes reads them
    features: { devInteractions: { enabled: true } },
    ttl: { IdToken: cfg.idTokenTtl, AccessToken: 3600, AuthorizationCode: 60, Grant: 3600, Interaction: 600, Session: 3600 },
    pkce: { required: () => false },
    // The consent page is not what these tests are about: what was asked for is granted.
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
    async findAccount(ctx, id) {
      const user = users.get(id);
      return user && { accountId: id, claims: () => ({ sub: id, ...user }) };
    },
  });
  provider.proxy = false;
  return provider.callback();
}

let answer = build();
let fetches = { discovery: 0, jwks: 0 };

https.createServer({ cert: readFileSync(cfg.cert), key: readFileSync(cfg.key) }, (req, res) => {
  if (req.url.startsWith('/.well-known/')) fetches.discovery += 1;
  if (req.url.startsWith('/jwks')) fetches.jwks += 1;
  answer(req, res);
}).listen(cfg.port, '127.0.0.1', () => {
  // Admin: POST /rotate[?keep=1] makes a new signing key; POST /user {"id","claims"}; GET /fetches counts.
  http.createServer((req, res) => {
    const url = new URL(req.url, 'http://admin');
    let body = '';
    req.on('data', (chunk) => { body += chunk; });
    req.on('end', () => {
      if (url.pathname === '/rotate') {
        const fresh = newKey(cfg.alg);
        keys = url.searchParams.get('keep') ? [fresh, ...keys] : [fresh];
        answer = build();
        res.end(JSON.stringify({ kid: fresh.kid }));
      } else if (url.pathname === '/user') {
        const { id, claims } = JSON.parse(body);
        users.set(id, claims);
        res.end('{}');
      } else if (url.pathname === '/fetches') {
        res.end(JSON.stringify(fetches));
      } else {
        res.statusCode = 404;
        res.end();
      }
    });
  }).listen(cfg.adminPort, '127.0.0.1', () => console.log('issuer ready'));
});
