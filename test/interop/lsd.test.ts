/** Local service discovery in a network of its own: two engines of ours, and ours with libtorrent in both directions. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingLibtorrent } from '../support/clients/program.ts'
import { canMakeNamespaces, programsMissing } from '../support/namespaces.ts'

/** One cable, and three addresses at one end of it. */
const NETWORK = [
  'ip link set lo up; ip link add lan type veth peer name end; ip link set lan up; ip link set end up',
  ...[1, 2, 3].map((last) => `ip addr add 10.77.0.${last}/24 dev lan`),
].join('; ')
const inNetwork = (...command: string[]) => [
  '--net',
  '--map-root-user',
  'sh',
  '-ec',
  `${NETWORK}; exec "$@"`,
  'sh',
  ...command,
]
const lacking = programsMissing([])
const mayMakeNetworks = lacking.length > 0 || spawnSync('unshare', inNetwork('true')).status === 0

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wikiseed-lsd-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function inLocalNetwork() {
  it('brings dormant seeds and fetchers together who know nobody', () => {
    const child = join(import.meta.dirname, '../support/lsd-child.ts')
    const ended = spawnSync('unshare', inNetwork(process.execPath, child, folder), {
      encoding: 'utf8',
      timeout: 60_000,
    })
    expect(ended.stderr).toBe('')
    const withOthers = missingLibtorrent() === null ? { toOther: [], fromOther: [] } : {}
    expect(JSON.parse(ended.stdout)).toEqual({ between: [], inTheSameMinute: [], ...withOthers })
  }, 70_000)
}

if (mayMakeNetworks) {
  const left = lacking.length === 0 ? '' : ` (skipped: ${lacking.join(', ')} missing)`
  describe.skipIf(lacking.length > 0)(`a local network${left}`, inLocalNetwork)
} else {
  // No program is missing, so nothing is skipped that could be installed.
  it('needs network namespaces, which cannot be made here', () => {
    expect(canMakeNamespaces()).toBe(false)
  })
}
