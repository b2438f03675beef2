/** qbittorrent-nox by its Web API, as of 4.5. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TorrentPeer } from '../../../node/ports.ts'
import { infohashIn } from './aria2.ts'
import type { ClientDriver, TorrentClient } from './client.ts'
import { freePort, makeFolder, missing, startProgram, untilTrue } from './program.ts'

interface Row {
  readonly state: string
  readonly progress: number
}

const FAILED = ['error', 'missingFiles']
const SEEDING = ['uploading', 'stalledUP', 'forcedUP']

const settings = (host: string, port: number, webPort: number) => `[LegalNotice]
Accepted=true

[BitTorrent]
Session\\Port=${port}
Session\\InterfaceAddress=${host}
Session\\BTProtocol=TCP
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\MultiConnectionsPerIp=true
Session\\QueueingSystemEnabled=false
Session\\RefreshInterval=50
Session\\DisableAutoTMMByDefault=true

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\Port=${webPort}
WebUI\\LocalHostAuth=false
WebUI\\CSRFProtection=false
WebUI\\UseUPnP=false
`

async function start(host: string): Promise<TorrentClient> {
  const [port, webPort] = [await freePort(host), await freePort()]
  const folder = await makeFolder()
  await mkdir(join(folder, 'qBittorrent', 'config'), { recursive: true })
  await writeFile(join(folder, 'qBittorrent', 'config', 'qBittorrent.conf'), settings(host, port, webPort))
  const program = startProgram('qbittorrent-nox', [`--profile=${folder}`], folder)
  const ask = async (path: string, body?: FormData | URLSearchParams): Promise<Response> => {
    const url = `http://127.0.0.1:${webPort}/api/v2/${path}`
    const response = await fetch(url, body === undefined ? {} : { method: 'POST', body })
    if (!response.ok) throw new Error(`qBittorrent: ${path}: ${response.status} ${await response.text()}`)
    return response
  }
  const rowOf = async (infohash: string): Promise<Row | null> => {
    const rows = (await (await ask(`torrents/info?hashes=${infohash}`)).json()) as Row[]
    const [row = null] = rows
    if (row !== null && FAILED.includes(row.state)) throw new Error(`qBittorrent: ${row.state}`)
    return row
  }
  const isWhole = async (infohash: string): Promise<true | null> => {
    const row = await rowOf(infohash)
    return row?.progress === 1 && SEEDING.includes(row.state) ? true : null
  }
  const add = async (what: Uint8Array | string, root: string, skipChecking: boolean) => {
    const form = new FormData()
    if (typeof what === 'string') form.set('urls', what)
    else form.set('torrents', new Blob([new Uint8Array(what)]), 'a.torrent')
    form.set('savepath', root)
    form.set('contentLayout', 'Original')
    form.set('skip_checking', String(skipChecking))
    await ask('torrents/add', form)
    await untilTrue('qBittorrent took it on', program, () => rowOf(infohashIn(what)))
  }
  await untilTrue('qBittorrent answers', program, () => ask('app/webapiVersion').catch(() => null))
  return {
    name: 'qBittorrent',
    pid: program.pid,
    peer: { host, port },
    dials: true,
    makesEmptyFiles: true,
    async seed(torrent, root) {
      await add(torrent, root, true)
      await untilTrue('qBittorrent seeds', program, () => isWhole(infohashIn(torrent)))
    },
    async leech(what, root, peers: readonly TorrentPeer[], onAdded) {
      await add(what, root, false)
      if (peers.length > 0) {
        const list = peers.map((peer) => `${peer.host}:${peer.port}`).join('|')
        await ask('torrents/addPeers', new URLSearchParams({ hashes: infohashIn(what), peers: list }))
      }
      onAdded?.()
      await untilTrue('qBittorrent has everything', program, () => isWhole(infohashIn(what)))
    },
    stop: () => program.stop(),
  }
}

export const qbittorrent: ClientDriver = {
  name: 'qBittorrent',
  missing: () => missing('qbittorrent-nox'),
  start: ({ host = '127.0.0.1' } = {}) => start(host),
}
