/** `wikiseed get --node`: who holds what is asked of a volunteer, since the manifest names nobody. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Libp2pNetwork } from '../../node/net/network.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { shardKey } from '../../protocol/ids.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { RecordBook } from '../../protocol/manifest/record-book.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import { openNodeUpdate } from '../../protocol/manifest/trust.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { at, sentence, useCli, wikiseed } from '../support/cli.ts'
import { type Published, publishRuns } from '../support/published.ts'
import { HEAD, saying, testEntry, testIdentity, Writer } from '../support/records.ts'

let published: Published
let network: Libp2pNetwork
let address: string

beforeAll(async () => {
  published = await publishRuns({ runs: ['aawiki/20260101'], seeds: 2, namesPeers: false })
  const { federationId } = readRoot(published.root, verifyEd25519)
  const [held] = published.held
  if (held === undefined) throw new Error('nothing is held')
  const { id, digest, infohash } = held.merged
  const book = new RecordBook({
    self: testIdentity(9).nodeId,
    open: (sealed) => openNodeUpdate(sealed, verifyEd25519),
    parameters: () => ({ clockSkewMs: 300_000, goneMs: 14 * 86_400_000 }),
  })
  // One volunteer holds it, one only claims it, one holds another torrent, one was silent for ten days.
  const day = 86_400_000
  const says = [
    { port: published.seeds[0]?.meter.port ?? 0, fields: {}, agoMs: 0 },
    { port: 1, fields: { state: 'claimed' as const }, agoMs: 0 },
    { port: 2, fields: { infohash: testEntry(1).infohash }, agoMs: 0 },
    { port: 3, fields: {}, agoMs: 10 * day },
  ]
  for (const [number, { port, fields, agoMs }] of says.entries()) {
    const entry = testEntry(0, { shard: shardKey(id, digest), infohash, ...fields })
    const head = { ...HEAD, endpoints: { libp2p: [], bittorrent: [{ host: '127.0.0.1', port }] } }
    const { sealed } = new Writer(number).say(saying({ head, entries: [entry] }), {
      issuedAtMs: Date.now() - agoMs,
    })
    expect(book.hear(sealed, Date.now()).kind).toBe('applied')
  }
  network = new Libp2pNetwork({ identity: testIdentity(9), federationId, log: silentLog })
  network.handle('manifest', async (request) => answerCatchUp(request, book))
  await network.start()
  address = network.addresses()[0] ?? ''
})
afterAll(async () => {
  await network.stop()
  await published.close()
})

useCli()
const from = (...more: string[]) => [
  ...['--manifest', published.dir, '--root', published.rootPath, '--to', at('dumps'), '--patience', '5s'],
  ...more,
]

describe('wikiseed get --node', () => {
  it('fetches from the holders that volunteers tell of, by what each signed', async () => {
    const nobody = await wikiseed('get', 'aawiki', ...from('--json'))
    expect(nobody.code).toBe(1)
    const done = await wikiseed('get', 'aawiki', ...from('--node', address, '--json'))
    expect([done.code, done.error]).toEqual([0, ''])
    const files = JSON.parse(done.out).files as { from: string }[]
    expect(files).toHaveLength(7)
    expect(new Set(files.map((file) => file.from))).toEqual(new Set(['swarm']))
    expect(published.seeds[0]?.meter.bytes()).toBeGreaterThan(300_000)
    expect(published.seeds[1]?.meter.bytes()).toBe(0)
  })

  it('says so when no volunteer can be reached', async () => {
    const gone = address.replace(/\/tcp\/\d+\//, '/tcp/1/')
    const done = await wikiseed('get', 'aawiki', ...from('--node', gone))
    expect(sentence(done)).toContain('none of the nodes can be reached')
    expect(sentence(await wikiseed('get', 'aawiki', ...from('--node', 'here')))).toContain(
      'is not a multiaddr',
    )
  })
})
