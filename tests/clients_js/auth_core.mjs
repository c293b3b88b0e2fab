// A whole service with Auth.js (@auth/core), which frameworks such as SvelteKit and Next.js stand on.
import { createServer } from 'node:http'
import { Auth, skipCSRFCheck } from '@auth/core'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env
const here = `http://localhost:${PORT}`

const config = {
  basePath: '/auth',
  secret: 'signs the cookies of this service, 32 characters or more',
  trustHost: true,
  skipCSRFCheck,
  providers: [
    {
      id: 'ours',
      type: 'oidc',
      issuer: ISSUER,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      checks: ['pkce', 'state', 'nonce'],
      idToken: false, // name and e-mail address come from userinfo
      authorization: { params: { scope: 'openid profile email' } },
      profile: (claims) => ({ id: claims.sub, name: claims.name, email: claims.email }),
    },
  ],
  callbacks: {
    redirect: () => `${here}/auth/session`,
    jwt: ({ token, profile }) => (profile ? { ...token, sub: profile.sub } : token),
    session: ({ token }) => ({ sub: token.sub, name: token.name, email: token.email }),
  },
}

createServer(async (incoming, answer) => {
  const url = new URL(incoming.url, here)
  const start = url.pathname === '/login' // Auth.js begins by POST
  const asked = new Request(start ? `${here}/auth/signin/ours` : url, {
    method: start ? 'POST' : 'GET',
    headers: { cookie: incoming.headers.cookie ?? '' },
  })
  const found = await Auth(asked, config)
  answer.writeHead(found.status, {
    ...Object.fromEntries(found.headers),
    'set-cookie': found.headers.getSetCookie(),
  })
  answer.end(await found.text())
}).listen(PORT, 'localhost', () => console.log('ready'))
