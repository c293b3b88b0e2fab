// oauth4webapi, every step by hand. With `fapi` as FAPI 2.0 has it: PAR, DPoP, private_key_jwt, JARM; with `signs`
// (Message Signing) the pushed request is a request object.
import * as oauth from 'oauth4webapi'
import { run, visit } from './talk.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // the simulator answers on loopback, without TLS

// A provider that wants a DPoP nonce says so once; the library has remembered it then.
async function again(ask, process) {
  const first = await ask()
  return process(first.clone()).catch(async (error) => {
    if (!oauth.isDPoPNonceError(error)) throw error
    return process(await ask())
  })
}

await run(async ({ issuer: address, client_id, client_secret, jwk, fapi, signs, redirect_uri, bye }) => {
  const issuer = new URL(address)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const client = { client_id, id_token_signed_response_alg: 'ES256', authorization_signed_response_alg: 'ES256' }
  let proof, key
  if (jwk) {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
    key = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
    proof = oauth.PrivateKeyJwt({ key, kid: jwk.kid })
  } else {
    proof = oauth.ClientSecretBasic(client_secret)
  }
  const DPoP = fapi ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
  const bound = { ...insecure, DPoP }

  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  let asked = new URLSearchParams({
    response_type: 'code',
    redirect_uri,
    scope: 'openid profile email',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...(fapi && { response_mode: 'jwt' }),
  })
  if (signs) {
    asked = new URLSearchParams({
      request: await oauth.issueRequestObject(as, client, asked, { key, kid: jwk.kid }),
    })
  }
  if (fapi) {
    const pushed = await again(
      () => oauth.pushedAuthorizationRequest(as, client, proof, asked, bound),
      (answer) => oauth.processPushedAuthorizationResponse(as, client, answer),
    )
    asked = new URLSearchParams({ request_uri: pushed.request_uri })
  }
  asked.set('client_id', client_id)
  const callback = await visit(`${as.authorization_endpoint}?${asked}`)
  const params = fapi
    ? await oauth.validateJwtAuthResponse(as, client, callback, state, insecure)
    : oauth.validateAuthResponse(as, client, callback, state)

  let answered
  const tokens = await again(
    () => oauth.authorizationCodeGrantRequest(as, client, proof, params, redirect_uri, verifier, bound),
    (answer) => {
      answered = answer
      return oauth.processAuthorizationCodeResponse(as, client, answer, {
        expectedNonce: nonce,
        requireIdToken: true,
      })
    },
  )
  await oauth.validateApplicationLevelSignature(as, answered, insecure)
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  const ask = (token) =>
    again(
      () => oauth.userInfoRequest(as, client, token, bound),
      (answer) => oauth.processUserInfoResponse(as, client, claims.sub, answer),
    )
  const userinfo = await ask(tokens.access_token)
  const refreshed = await again(
    () => oauth.refreshTokenGrantRequest(as, client, proof, tokens.refresh_token, bound),
    (answer) => oauth.processRefreshTokenResponse(as, client, answer),
  )
  const same = (await ask(refreshed.access_token)).sub === userinfo.sub
  // A bound token in other hands: no proof, or another key's.
  const other = fapi ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
  const thefts = []
  for (const hands of fapi ? [{}, { DPoP: other }] : []) {
    const stolen = await oauth
      .protectedResourceRequest(refreshed.access_token, 'GET', new URL(as.userinfo_endpoint), null, null, {
        ...insecure,
        ...hands,
      })
      .then(
        (answer) => answer.status,
        (error) => error.status ?? error.response?.status ?? error.message,
      )
    thefts.push(stolen)
  }
  const revoked = await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, proof, refreshed.refresh_token ?? tokens.refresh_token, insecure),
  )
  const facts = await oauth.processIntrospectionResponse(
    as,
    client,
    await oauth.introspectionRequest(as, client, proof, refreshed.access_token, insecure),
  )
  const leaving = new URL(as.end_session_endpoint)
  const hint = { id_token_hint: tokens.id_token, post_logout_redirect_uri: bye, state: 'bye' }
  leaving.search = new URLSearchParams(hint)
  const returned = await visit(leaving)
  return {
    claims,
    userinfo,
    type: tokens.token_type,
    rotated: refreshed.refresh_token !== undefined && refreshed.refresh_token !== tokens.refresh_token,
    same,
    thefts,
    revoked: revoked === undefined,
    active: facts.active,
    returned: returned.href,
  }
})
