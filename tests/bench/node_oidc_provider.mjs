// node-oidc-provider with the same people, clients and keys as the load has, everything in its memory.
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'

const { port, people, clients } = JSON.parse(process.argv[2])
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'bench' }
// The same paths as ours, so that the same load can be sent.
const routes = { authorization: '/authorize', introspection: '/introspect', userinfo: '/userinfo' }
const account = (id) => ({
  accountId: id,
  claims: () => ({ sub: id, name: 'Ada Lovelace', email: `${id}@example.org`, email_verified: true }),
})

// Its own in-memory adapter forgets all but a thousand entries; this one keeps them, and does as little.
class Memory {
  static kept = new Map()
  static members = new Map()
  constructor(model) {
    this.model = model
  }
  async upsert(id, payload) {
    const key = `${this.model}:${id}`
    Memory.kept.set(key, payload)
    if (payload.uid) Memory.kept.set(`uid:${payload.uid}`, id)
    if (payload.grantId) {
      if (!Memory.members.has(payload.grantId)) Memory.members.set(payload.grantId, new Set())
      Memory.members.get(payload.grantId).add(key)
    }
  }
  async find(id) {
    return Memory.kept.get(`${this.model}:${id}`)
  }
  async findByUid(uid) {
    return this.find(Memory.kept.get(`uid:${uid}`))
  }
  async consume(id) {
    const payload = await this.find(id)
    payload.consumed = Math.floor(Date.now() / 1000)
  }
  async destroy(id) {
    Memory.kept.delete(`${this.model}:${id}`)
  }
  async revokeByGrantId(grantId) {
    for (const key of Memory.members.get(grantId) ?? []) Memory.kept.delete(key)
    Memory.members.delete(grantId)
  }
}

const provider = new Provider(`http://localhost:${port}`, {
  routes,
  adapter: Memory,
  clients,
  jwks: { keys: [key] },
  cookies: { keys: ['a key of the bench'] },
  claims: { profile: ['name'], email: ['email', 'email_verified'] },
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256'] },
  features: { introspection: { enabled: true }, devInteractions: { enabled: false } },
  findAccount: (ctx, id) => account(id),
  issueRefreshToken: async () => true,
  rotateRefreshToken: () => true,
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, IdToken: 600, RefreshToken: 30 * 86400, Session: 86400, Grant: 86400, Interaction: 3600 },
})

// Signing in and agreeing, without a page: what is measured begins after it.
let turn = 0
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res)
  if (prompt.name === 'login') {
    const login = { accountId: people[turn++ % people.length] }
    return provider.interactionFinished(ctx.req, ctx.res, { login })
  }
  const fresh = () => new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  const grant = grantId ? await provider.Grant.find(grantId) : fresh()
  grant.addOIDCScope('openid profile email')
  return provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: await grant.save() } })
})

provider.on('server_error', (ctx, error) => console.error(error))
const server = provider.listen(port, '127.0.0.1', () => console.log(`ready http://localhost:${server.address().port}`))
