/** Gives a torrent whose info dictionary is known to the engine's package, with our chunk store under it. */
import type WebTorrent from 'webtorrent'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import type { Log } from '../ports.ts'
import type { ChunkStore } from './chunk-store.ts'
import { diskError, isMissing } from './torrent-errors.ts'
import { attach, type Transfer, until } from './torrent-transfer.ts'
import type { EngineStore, EngineTorrent } from './wire.ts'

export interface Opened {
  readonly torrent: EngineTorrent
  readonly store: ChunkStore
}

/**
 * Resolves when it is ready and, for a fetch, what is on disk is checked; `raw` is the info dictionary. Rejects with what the
 * transfer failed with. From then on an error of the disk fails the transfer.
 */
export async function openTorrent(
  client: WebTorrent,
  transfer: Transfer,
  { raw, root, store, log }: { raw: Uint8Array; root: string; store: ChunkStore; log: Log | undefined },
): Promise<Opened> {
  const { signal } = transfer
  transfer.store = store
  transfer.sizeBytes = store.totalBytes
  const torrent = client.add(encodeMetainfo({ info: raw }), {
    path: root,
    store: storeClass(store, (error, reading) => {
      // A fetch begins by looking for what is there; that a file is not is no failure.
      const expected = reading && transfer.isFetch && !torrent.ready && isMissing(error)
      if (!expected && !signal.aborted) transfer.fail(diskError(error))
    }),
    storeCacheSlots: 0,
    skipVerify: !transfer.isFetch,
    deselect: true,
  })
  transfer.torrent = torrent
  if (!transfer.isFetch) claimAtOnce(torrent)
  attach(torrent, transfer, { kind: 'serve', info: raw }, log)
  await until(torrent, 'ready', signal)
  if (!transfer.isFetch) countNoPieces(torrent)
  return { torrent, store }
}

/** Claiming each piece by itself, with an event, is a tenth of what a small seed costs to wake. */
function claimAtOnce(torrent: EngineTorrent): void {
  torrent._markAllVerified = () => {
    torrent.pieces.fill(null)
    torrent._reservations.fill(null)
    for (let piece = 0; piece < torrent.pieces.length; piece++) torrent.bitfield.set(piece)
  }
}

/**
 * The package counts who has which piece, all pieces of all peers anew with each that comes. A seed asks nobody for a piece: a
 * seventh of what hostile peers cost it was this.
 */
function countNoPieces(torrent: EngineTorrent): void {
  torrent._rarityMap?.destroy()
  torrent._rarityMap = null
}

/** Our store in the shape that the package constructs. `onError` gets what reading or writing failed with. */
function storeClass(
  store: ChunkStore,
  onError: (error: Error, reading: boolean) => void,
): new (
  chunkLength: number,
) => EngineStore {
  return class implements EngineStore {
    readonly chunkLength: number

    constructor(chunkLength: number) {
      this.chunkLength = chunkLength
    }

    get(...[piece, options, callback]: Parameters<EngineStore['get']>): void {
      store.get(piece, options?.offset, options?.length).then(
        (bytes) => callback(null, bytes),
        (error: Error) => {
          onError(error, true)
          callback(error)
        },
      )
    }

    put(...[piece, bytes, callback]: Parameters<EngineStore['put']>): void {
      store.put(piece, bytes).then(
        () => callback(null),
        (error: Error) => {
          onError(error, false)
          callback(error)
        },
      )
    }

    close(callback: Parameters<EngineStore['close']>[0]): void {
      store.close().then(() => callback(null), callback)
    }

    destroy(callback: Parameters<EngineStore['destroy']>[0]): void {
      this.close(callback)
    }
  }
}
