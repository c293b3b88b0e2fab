// arctic: its client for any provider, with PKCE; userinfo says who it is.
import { CodeChallengeMethod, OAuth2Client, generateCodeVerifier, generateState } from 'arctic'
import { run, visit } from './talk.mjs'

await run(async ({ issuer, client_id, client_secret, redirect_uri }) => {
  const client = new OAuth2Client(client_id, client_secret, redirect_uri)
  const [state, verifier] = [generateState(), generateCodeVerifier()]
  const scopes = ['openid', 'profile', 'email']
  const callback = await visit(
    client.createAuthorizationURLWithPKCE(`${issuer}/authorize`, state, CodeChallengeMethod.S256, verifier, scopes),
  )
  const tokens = await client.validateAuthorizationCode(`${issuer}/token`, callback.searchParams.get('code'), verifier)
  const bearer = { authorization: `Bearer ${tokens.accessToken()}` }
  return (await fetch(`${issuer}/userinfo`, { headers: bearer })).json()
})
