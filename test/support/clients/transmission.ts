/**
 * transmission-daemon by its RPC, as of 3.00. It takes 127.x for an address that no peer can have (net.c, isMartianAddr), so it
 * calls nobody here: its peers call it. It gives upload slots anew every 10 s (peer-mgr.c, RECHOKE_PERIOD_MSEC), for which a
 * peer that has just come may wait.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { infohashIn } from './aria2.ts'
import type { ClientDriver, TorrentClient } from './client.ts'
import { freePort, makeFolder, missing, startProgram, untilTrue } from './program.ts'

interface Row {
  readonly status: number
  readonly percentDone: number
  readonly metadataPercentComplete: number
  readonly error: number
  readonly errorString: string
}

const SEEDING = 6
/** Errors 1 and 2 are a tracker's. */
const LOCAL_ERROR = 3

async function start(host: string): Promise<TorrentClient> {
  const [port, rpcPort] = [await freePort(host), await freePort()]
  const folder = await makeFolder()
  await writeFile(
    join(folder, 'settings.json'),
    JSON.stringify({
      'bind-address-ipv4': host,
      'peer-port': port,
      'peer-port-random-on-start': false,
      'rpc-bind-address': '127.0.0.1',
      'rpc-port': rpcPort,
      'rpc-whitelist-enabled': false,
      'dht-enabled': false,
      'lpd-enabled': false,
      'pex-enabled': false,
      'utp-enabled': false,
      'port-forwarding-enabled': false,
      'download-queue-enabled': false,
      'seed-queue-enabled': false,
      'incomplete-dir-enabled': false,
      'download-dir': folder,
    }),
  )
  const program = startProgram('transmission-daemon', ['--foreground', '--config-dir', folder], folder)
  let session = ''
  const ask = async <T>(method: string, fields: object): Promise<T> => {
    const post = () =>
      fetch(`http://127.0.0.1:${rpcPort}/transmission/rpc`, {
        method: 'POST',
        headers: { 'x-transmission-session-id': session },
        body: JSON.stringify({ method, arguments: fields }),
      })
    let response = await post()
    if (response.status === 409) {
      session = response.headers.get('x-transmission-session-id') ?? ''
      response = await post()
    }
    const answer = (await response.json()) as { result: string; arguments: T }
    if (answer.result !== 'success') throw new Error(`Transmission: ${answer.result}`)
    return answer.arguments
  }
  const isWhole = async (infohash: string, seeding: boolean): Promise<true | null> => {
    const fields = ['status', 'percentDone', 'metadataPercentComplete', 'error', 'errorString']
    const { torrents } = await ask<{ torrents: Row[] }>('torrent-get', { ids: [infohash], fields })
    const [row] = torrents
    if (row?.error === LOCAL_ERROR) throw new Error(`Transmission: ${row.errorString}`)
    const whole = row?.percentDone === 1 && row.metadataPercentComplete === 1
    return whole && (!seeding || row.status === SEEDING) ? true : null
  }
  const add = (what: Uint8Array | string, root: string) =>
    ask('torrent-add', {
      ...(typeof what === 'string' ? { filename: what } : { metainfo: Buffer.from(what).toString('base64') }),
      'download-dir': root,
    })
  await untilTrue('Transmission answers', program, () => ask('session-get', {}).catch(() => null))
  return {
    name: 'Transmission',
    pid: program.pid,
    peer: { host, port },
    dials: false,
    makesEmptyFiles: false,
    async seed(torrent, root) {
      await add(torrent, root)
      await untilTrue('Transmission seeds', program, () => isWhole(infohashIn(torrent), true))
    },
    async leech(what, root, _peers, onAdded) {
      await add(what, root)
      onAdded?.()
      await untilTrue('Transmission has everything', program, () => isWhole(infohashIn(what), true))
    },
    stop: () => program.stop(),
  }
}

export const transmission: ClientDriver = {
  name: 'Transmission',
  missing: () => missing('transmission-daemon'),
  start: ({ host = '127.0.0.1' } = {}) => start(host),
}
