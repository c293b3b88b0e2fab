// A public client as oidc-client-ts makes it: code and PKCE, nothing secret. The test calls `enter`, `leave`, `silently`.
const { UserManager, WebStorageStateStore } = window.oidc
const settings = new URLSearchParams(location.hash.slice(1))
if (settings.has('authority')) localStorage.setItem('authority', settings.get('authority'))

const manager = new UserManager({
  authority: localStorage.getItem('authority'),
  client_id: 'in-the-browser',
  redirect_uri: `${location.origin}/index.html`,
  silent_redirect_uri: `${location.origin}/index.html`,
  post_logout_redirect_uri: `${location.origin}/index.html`,
  scope: 'openid profile email',
  loadUserInfo: true,
  automaticSilentRenew: false,
  monitorSession: true,
  checkSessionIntervalInSeconds: 1,
  userStore: new WebStorageStateStore({ store: sessionStorage }),
})

function show(state, found) {
  document.querySelector('#found').textContent = JSON.stringify(found ?? null)
  document.querySelector('#state').textContent = state
}

manager.events.addUserSignedOut(() => show('signed out elsewhere'))

function told(user) {
  return { profile: user.profile, scope: user.scope, type: user.token_type, refreshable: Boolean(user.refresh_token) }
}

window.enter = (more) => manager.signinRedirect(more)
window.leave = () => manager.signoutRedirect()
window.refresh = async () => told(await manager.signinSilent())
window.silently = async () => {
  const user = await manager.getUser()
  if (user) await manager.storeUser(Object.assign(user, { refresh_token: undefined }))
  return told(await manager.signinSilent({ silentRequestTimeoutInSeconds: 10 }))
}

if (window.self !== window.top) {
  manager.signinSilentCallback()
} else if (new URLSearchParams(location.search).has('code') || new URLSearchParams(location.search).has('error')) {
  manager.signinRedirectCallback().then(
    (user) => show('in', told(user)),
    (error) => show('refused', { error: error.error ?? error.message }),
  )
} else {
  show('out')
}
