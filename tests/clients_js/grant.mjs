// A whole service with Express and grant.
import express from 'express'
import session from 'express-session'
import grant from 'grant'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env

const app = express()
app.use(session({ secret: 'of this service alone', resave: false, saveUninitialized: false }))
app.use(
  grant.express({
    defaults: { origin: `http://localhost:${PORT}`, transport: 'session', prefix: '/connect' },
    ours: {
      authorize_url: `${ISSUER}/authorize`,
      access_url: `${ISSUER}/token`,
      profile_url: `${ISSUER}/userinfo`,
      oauth: 2,
      key: CLIENT_ID,
      secret: CLIENT_SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      scope: 'openid profile email', // a list would be joined by commas
      pkce: true,
      state: true,
      nonce: true,
      response: ['tokens', 'profile'],
      callback: '/',
    },
  }),
)
app.get('/login', (request, response) => response.redirect('/connect/ours'))
app.get('/', (request, response) => {
  response.json(request.session.grant?.response?.profile ?? request.session.grant?.response ?? null)
})
app.listen(PORT, 'localhost', () => console.log('ready'))
