/**
 * Transmission by its RPC, 3.00 and later (https://github.com/transmission/transmission/blob/main/docs/rpc-spec.md). From 4.1 it
 * is JSON-RPC 2.0 with snake_case names, which the header X-Transmission-Rpc-Version of its first answer tells; before, a form of
 * its own. This file thinks in the new names; `transmission-rpc` writes and reads both.
 *
 * It has no way to take files without a check: 3.00 reads all of what is added; 4 trusts files of the right sizes and reads a piece
 * when it is asked for. So torrents are added stopped, and started once they are whole: it would fetch what it misses. It cannot be
 * told of peers.
 */

import { integer, list, type Reader, record, text } from '../../protocol/codec/shape.ts'
import { type Infohash, isInfohash } from '../../protocol/ids.ts'
import { TorrentError } from '../ports.ts'
import { type ClientState, type ClientTorrent, MARK, type SeedClient } from './seed-client.ts'
import { type RpcOptions, reading, TransmissionRpc } from './transmission-rpc.ts'

const TORRENTS_MAX = 100_000
const TEXT_LENGTH_MAX = 4_096
/** Labels came with 3.00. */
const RPC_VERSION_MIN = 16
const FIELDS = [
  'hash_string',
  'status',
  'error',
  'error_string',
  'left_until_done',
  'have_valid',
  'have_unchecked',
  'total_size',
  'uploaded_ever',
  'peers_connected',
  'download_dir',
  'labels',
]
/** tr_ratiolimit and tr_idlelimit: no limit, whatever the program's own is. */
const UNLIMITED = 2

export class Transmission implements SeedClient {
  readonly name = 'Transmission'
  readonly #rpc: TransmissionRpc

  constructor(options: RpcOptions) {
    this.#rpc = new TransmissionRpc(options)
  }

  async connect(): Promise<{ version: string; port: number }> {
    const session = await this.#rpc.call('session_get')
    return reading(() => {
      const rpcVersion = integer(session.rpc_version, 'rpc_version')
      const version = text(session.version, 'version', TEXT_LENGTH_MAX).slice(0, 40)
      if (rpcVersion < RPC_VERSION_MIN)
        throw new TorrentError('engine', `Transmission 3.00 or newer is needed, this is ${version}`)
      return { version, port: integer(session.peer_port, 'peer_port', 1, 65_535) }
    })
  }

  async list(): Promise<ClientTorrent[]> {
    return (await this.#torrents({})).filter((one) => one.isOurs)
  }

  async find(infohash: Infohash): Promise<ClientTorrent | null> {
    return (await this.#torrents({ ids: [infohash] })).find((one) => one.infohash === infohash) ?? null
  }

  async add(torrent: Uint8Array, infohash: Infohash, folder: string): Promise<void> {
    const added = await this.#rpc.call('torrent_add', {
      metainfo: Buffer.from(torrent).toString('base64'),
      download_dir: folder,
      paused: true,
      labels: [MARK],
    })
    // Whose it is was looked at before; a torrent that came in between is not marked as ours.
    if (added.torrent_added === undefined)
      throw new TorrentError('engine', `Transmission did not take ${infohash}`)
    // Before 4.0 an added torrent takes no label.
    await this.#rpc.call('torrent_set', {
      ids: [infohash],
      labels: [MARK],
      seed_ratio_mode: UNLIMITED,
      seed_idle_mode: UNLIMITED,
    })
  }

  async start(infohashes: readonly Infohash[]): Promise<void> {
    // An empty list would mean all that it has.
    if (infohashes.length > 0) await this.#rpc.call('torrent_start_now', { ids: infohashes })
  }

  async remove(infohashes: readonly Infohash[]): Promise<void> {
    if (infohashes.length > 0)
      await this.#rpc.call('torrent_remove', { ids: infohashes, delete_local_data: false })
  }

  async addPeers(): Promise<void> {}

  async #torrents(ids: { readonly ids?: readonly Infohash[] }): Promise<ClientTorrent[]> {
    const answer = await this.#rpc.call('torrent_get', { ...ids, fields: FIELDS })
    return reading(() => list(answer.torrents, 'torrents', TORRENTS_MAX, readTorrent)).filter(
      (one) => one !== null,
    )
  }
}

/** null: a torrent without a v1 infohash, which is none of ours. */
const readTorrent: Reader<ClientTorrent | null> = (value, path) => {
  const fields = record(value, path)
  const infohash = text(fields.hash_string, `${path}.hash_string`, 64)
  if (!isInfohash(infohash)) return null
  const number = (name: string) => integer(fields[name], `${path}.${name}`)
  const labels = list(fields.labels, `${path}.labels`, 1_000, (one, at) => text(one, at, TEXT_LENGTH_MAX))
  const sizeBytes = number('total_size')
  const leftBytes = number('left_until_done')
  const problem = text(fields.error_string, `${path}.error_string`, TEXT_LENGTH_MAX)
  const haveBytes = number('have_valid') + number('have_unchecked')
  const state = stateOf({ status: number('status'), error: number('error'), leftBytes, haveBytes, problem })
  return {
    infohash,
    isOurs: labels.includes(MARK),
    folder: text(fields.download_dir, `${path}.download_dir`, TEXT_LENGTH_MAX),
    state,
    detail: problem === '' ? state : problem,
    sizeBytes,
    doneBytes: Math.max(0, sizeBytes - leftBytes),
    uploadedBytes: number('uploaded_ever'),
    peers: number('peers_connected'),
  }
}

/** tr_stat: a trouble with the disk, beside those with trackers. */
const ERROR_LOCAL = 3

function stateOf(torrent: {
  readonly status: number
  readonly error: number
  readonly leftBytes: number
  readonly haveBytes: number
  readonly problem: string
}): ClientState {
  const { status, error, leftBytes, haveBytes, problem } = torrent
  if (error === ERROR_LOCAL) return /no data found/i.test(problem) ? 'missing' : 'damaged'
  // 1 and 2: waiting to be verified, being verified.
  if (status === 1 || status === 2) return 'checking'
  if (leftBytes > 0) return haveBytes === 0 ? 'missing' : 'damaged'
  // 6: seeding; 5 is waiting in the queue.
  return status === 6 ? 'seeding' : 'stopped'
}
