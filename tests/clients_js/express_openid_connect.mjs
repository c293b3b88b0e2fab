// A whole service with express-openid-connect. PKCE comes with the code flow; http only because the issuer is a simulator.
import express from 'express'
import { auth } from 'express-openid-connect'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env

const app = express()
app.use(
  auth({
    issuerBaseURL: ISSUER,
    baseURL: `http://localhost:${PORT}`,
    clientID: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    secret: 'signs the cookie of this service, 32 characters or more',
    authRequired: false,
    authorizationParams: { response_type: 'code', response_mode: 'query', scope: 'openid profile email' },
    idTokenSigningAlg: 'RS256',
  }),
)
app.get('/', async (request, response) => {
  response.json(request.oidc.isAuthenticated() ? await request.oidc.fetchUserInfo() : null)
})
app.listen(PORT, 'localhost', () => console.log('ready'))
