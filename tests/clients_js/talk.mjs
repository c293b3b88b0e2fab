// How a party and its test talk: JSON lines. The test says what to do first, then walks through the provider's pages.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function heard() {
  return JSON.parse((await lines.next()).value)
}

function say(what) {
  process.stdout.write(JSON.stringify(what) + '\n')
}

// Have somebody open an address; where their browser ended up outside the provider.
export async function visit(url) {
  say({ visit: url.href ?? url })
  return new URL(await heard())
}

// Run a party: it gets its orders and returns what it found out.
export async function run(party) {
  say({ result: await party(await heard()) })
  process.exit(0)
}
