// openid-client, the whole code flow: every answer is verified by the library, signatures too.
import * as client from 'openid-client'
import { run, visit } from './talk.mjs'

await run(async ({ issuer, client_id, client_secret, redirect_uri, bye }) => {
  const metadata = { id_token_signed_response_alg: 'ES256' }
  const proof = client_secret ? client.ClientSecretPost(client_secret) : client.None()
  const config = await client.discovery(new URL(issuer), client_id, metadata, proof, {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  })
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const callback = await visit(
    client.buildAuthorizationUrl(config, {
      redirect_uri,
      scope: 'openid profile email',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
      nonce: expectedNonce,
      max_age: '3600',
    }),
  )
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, maxAge: 3600, idTokenExpected: true }
  const tokens = await client.authorizationCodeGrant(config, callback, checks)
  const claims = tokens.claims()
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  const still = await client.fetchUserInfo(config, refreshed.access_token, claims.sub)
  const introspected = client_secret ? await client.tokenIntrospection(config, refreshed.access_token) : null
  const returned = await visit(
    client.buildEndSessionUrl(config, {
      id_token_hint: refreshed.id_token,
      post_logout_redirect_uri: bye,
      state: 'bye',
    }),
  )
  const ended = await client.fetchUserInfo(config, refreshed.access_token, claims.sub).then(
    () => 'alive',
    (error) => error.cause?.[0]?.parameters?.error ?? error.code ?? error.message,
  )
  return {
    claims,
    userinfo,
    rotated: refreshed.refresh_token !== tokens.refresh_token,
    same: still.sub === userinfo.sub,
    active: introspected?.active ?? null,
    returned: returned.href,
    ended,
  }
})
