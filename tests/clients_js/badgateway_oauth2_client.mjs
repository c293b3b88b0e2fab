// @badgateway/oauth2-client: OAuth 2.0 with PKCE; userinfo says who it is.
import { OAuth2Client, OAuth2Fetch, generateCodeVerifier } from '@badgateway/oauth2-client'
import { run, visit } from './talk.mjs'

await run(async ({ issuer, client_id, client_secret, redirect_uri }) => {
  const client = new OAuth2Client({
    server: `${issuer}/`,
    clientId: client_id,
    clientSecret: client_secret,
    discoveryEndpoint: '/.well-known/openid-configuration',
  })
  const codeVerifier = await generateCodeVerifier()
  const flow = { redirectUri: redirect_uri, state: 'of-this-visit', codeVerifier }
  const scope = ['openid', 'profile', 'email']
  const callback = await visit(await client.authorizationCode.getAuthorizeUri({ ...flow, scope }))
  const token = await client.authorizationCode.getTokenFromCodeRedirect(callback.href, flow)
  const fetcher = new OAuth2Fetch({ client, getNewToken: () => token })
  return (await fetcher.fetch(`${issuer}/userinfo`)).json()
})
