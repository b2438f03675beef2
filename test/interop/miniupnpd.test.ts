/** The router program of most home routers, miniupnpd, in namespaces of its own: it forwards what we ask, and no more. */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { cable, end, type Namespace, namespace, namespacesMissing } from '../support/namespaces.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const missing = namespacesMissing(['miniupnpd', 'nft'])
const MAP_CHILD = fileURLToPath(new URL('../support/routers/map-child.ts', import.meta.url))
const RULES = `table inet filter {
  chain forwarding { }
  chain prerouting_own { }
  chain postrouting_own { }
  chain forward { type filter hook forward priority 0; policy accept; jump forwarding; }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_own; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_own; }
}`
const CONFIG = `ext_ifname=wan
listening_ip=home
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000077
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=forwarding
upnp_nat_chain=prerouting_own
upnp_nat_postrouting_chain=postrouting_own
`

describe.skipIf(missing !== null)(`miniupnpd${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  const spaces: Namespace[] = []
  let folder = ''
  let daemon: ChildProcess
  let home: Namespace
  let router: Namespace

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'miniupnpd-'))
    home = await namespace()
    router = await namespace()
    const outside = await namespace()
    spaces.push(home, router, outside)
    cable('home', router, '192.168.77.1/24', home, '192.168.77.5/24')
    cable('wan', router, '9.9.9.1/24', outside, '9.9.9.9/24')
    home.run('ip route add default via 192.168.77.1')
    router.run(`nft -f - <<'RULES'\n${RULES}\nRULES`)
    const config = join(folder, 'config')
    await writeFile(config, CONFIG)
    daemon = router.spawn('miniupnpd', ['-d', '-f', config, '-P', join(folder, 'pid')])
    const lines = createInterface(daemon.stderr ?? process.stdin)
    daemon.stdout?.resume()
    for await (const line of lines) if (/Listening for NAT-PMP/.test(line)) break
    daemon.stderr?.resume()
  })

  afterAll(async () => {
    await end(daemon)
    await Promise.all(spaces.map((space) => space.close()))
    await rm(folder, { recursive: true })
  })

  const forwarded = () => router.run('nft list ruleset').match(/dport \d+ dnat ip to \S+/g) ?? []

  it.each([
    ['NAT-PMP', 4_811],
    ['UPnP', 4_812],
  ])('forwards a port by %s and stops forwarding it when asked', async (name, port) => {
    const child = home.spawn(process.execPath, [MAP_CHILD, name, String(port)])
    child.stderr?.pipe(process.stderr)
    const lines = createInterface(child.stdout ?? process.stdin)[Symbol.asyncIterator]()
    expect(JSON.parse(String((await lines.next()).value))).toMatchObject({
      protocol: 'tcp',
      internalPort: port,
      externalHost: '9.9.9.1',
      externalPort: port,
      lifetimeMs: 3_600_000,
    })
    expect(forwarded()).toEqual([`dport ${port} dnat ip to 192.168.77.5:${port}`])
    child.stdin?.write('unmap\n')
    expect((await lines.next()).value).toBe('unmapped')
    expect(forwarded()).toEqual([])
    await end(child)
  })
})
