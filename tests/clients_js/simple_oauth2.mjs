// simple-oauth2: OAuth 2.0 alone, so that userinfo says who it is. PKCE is what the caller adds.
import { createHash, randomBytes } from 'node:crypto'
import { AuthorizationCode } from 'simple-oauth2'
import { run, visit } from './talk.mjs'

await run(async ({ issuer, client_id, client_secret, redirect_uri }) => {
  const client = new AuthorizationCode({
    client: { id: client_id, secret: client_secret },
    auth: { tokenHost: issuer, tokenPath: '/token', authorizePath: '/authorize' },
  })
  const verifier = randomBytes(32).toString('base64url')
  const callback = await visit(
    client.authorizeURL({
      redirect_uri,
      scope: 'openid profile email',
      state: 'of-this-visit',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }),
  )
  const code = callback.searchParams.get('code')
  const { token } = await client.getToken({ code, redirect_uri, code_verifier: verifier })
  const answer = await fetch(`${issuer}/userinfo`, { headers: { authorization: `Bearer ${token.access_token}` } })
  return answer.json()
})
