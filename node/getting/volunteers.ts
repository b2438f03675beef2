/**
 * Who holds what, asked of volunteers themselves (PROTOCOL 4): for whom the manifest's list of peers is too old. A guest on the
 * network with a key of this moment only: it says nothing, and leaves when it knows.
 */
import { randomBytes } from 'node:crypto'
import type { Infohash, NodeId, ShardKey } from '../../protocol/ids.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { compareWith } from '../../protocol/manifest/catch-up-ask.ts'
import { RecordBook } from '../../protocol/manifest/record-book.ts'
import type { FirstRoot } from '../../protocol/manifest/root.ts'
import { openNodeUpdate } from '../../protocol/manifest/trust.ts'
import { parametersAt } from '../../protocol/parameters.ts'
import { identityFromSeed, SEED_BYTES } from '../net/identity.ts'
import { Libp2pNetwork } from '../net/network.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Log, Network, TorrentPeer } from '../ports.ts'

export interface Volunteers {
  /** Nodes that were heard of. */
  readonly nodes: number
  /** BitTorrent peers of live and resting holders of this very torrent. */
  peers(shard: ShardKey, infohash: Infohash): TorrentPeer[]
}

export interface AskOptions {
  readonly root: FirstRoot
  /** Multiaddrs with `/p2p/` and a peer id. */
  readonly addresses: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly timeoutMs?: number
}

const REQUESTS_MAX = 1_000

/** Asks those who can be reached, one after the other, until one told everything. Rejects with an Error of one sentence. */
export async function askVolunteers(options: AskOptions): Promise<Volunteers> {
  const { root, clock, log } = options
  const identity = identityFromSeed(randomBytes(SEED_BYTES))
  const parameters = () => parametersAt(root.parameterChanges, clock.wallMs()).values
  const book = new RecordBook({
    self: identity.nodeId,
    open: (sealed) => openNodeUpdate(sealed, verifyEd25519),
    parameters,
  })
  const network = new Libp2pNetwork({ identity, federationId: root.federationId, log })
  network.handle('manifest', async (request) => answerCatchUp(request, book))
  try {
    await network.start()
    if (!(await network.connect([...options.addresses])))
      throw new Error(`none of the nodes can be reached: ${options.addresses.join(', ')}`)
    let failure: unknown = null
    for (const { nodeId } of network.peers()) {
      failure = await askOne(network, nodeId, book, options).then(
        () => null,
        (error: unknown) => error,
      )
      if (failure === null) break
    }
    if (failure !== null) throw new Error('no node told who holds what', { cause: failure })
  } finally {
    await network.stop()
  }
  const { clockSkewMs, restMs } = parameters()
  const records = [...book.records()].filter(
    (record) => clock.wallMs() - record.issuedAtMs <= record.ttlMs + clockSkewMs + restMs,
  )
  return {
    nodes: records.length,
    peers: (shard, infohash) =>
      records
        .filter((record) => {
          const entry = record.entries.get(shard)
          return entry?.state === 'held' && entry.infohash === infohash
        })
        .flatMap((record) => record.head.endpoints.bittorrent),
  }
}

/** Every update is sealed by its node and held against its digest: whoever hands it on cannot change it. */
async function askOne(network: Network, peer: NodeId, book: RecordBook, options: AskOptions): Promise<void> {
  const { clock, timeoutMs = 15_000 } = options
  const conversation = compareWith({ book, nowMs: () => clock.wallMs(), heard: () => {} }, true)
  try {
    let step = conversation.next()
    for (let count = 0; step.done !== true; count++) {
      if (count === REQUESTS_MAX) throw new Error('this node gives too little at a time')
      step = conversation.next(await network.request(peer, 'manifest', step.value, { timeoutMs }))
    }
  } finally {
    conversation.return()
  }
}
