/** Real qBittorrent and Transmission for tests: each on loopback alone, in a folder of its own, told nothing by anybody else. */
import { type ChildProcess, spawn } from 'node:child_process'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Program {
  readonly url: string
  readonly port: number
  /** Its configuration. */
  readonly folder: string
  stop(): Promise<void>
}

export interface Login {
  readonly user: string
  readonly password: string
}

export const PROGRAMS = { qbittorrent: 'qbittorrent-nox', transmission: 'transmission-daemon' } as const

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

export async function startQBittorrent(options: { port?: number; login?: Login } = {}): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-qbittorrent-'))
  const port = options.port ?? (await freePort())
  const webPort = await freePort()
  const url = `http://127.0.0.1:${webPort}/`
  await mkdir(join(folder, 'qBittorrent', 'config'), { recursive: true })
  const lines = [
    '[LegalNotice]',
    'Accepted=true',
    '[BitTorrent]',
    `Session\\Port=${port}`,
    'Session\\Interface=lo',
    'Session\\InterfaceName=lo',
    'Session\\InterfaceAddress=127.0.0.1',
    'Session\\DHTEnabled=false',
    'Session\\LSDEnabled=false',
    'Session\\PeXEnabled=false',
    'Session\\MultiConnectionsPerIp=true',
    // As it comes: three uploads at a time.
    'Session\\QueueingSystemEnabled=true',
    '[Network]',
    'PortForwardingEnabled=false',
    '[Preferences]',
    'WebUI\\Address=127.0.0.1',
    `WebUI\\Port=${webPort}`,
    `WebUI\\LocalHostAuth=${options.login !== undefined}`,
    'WebUI\\UseUPnP=false',
    ...(options.login === undefined ? [] : passwordLines(options.login)),
  ]
  await writeFile(join(folder, 'qBittorrent', 'config', 'qBittorrent.conf'), `${lines.join('\n')}\n`)
  const child = spawn(PROGRAMS.qbittorrent, [`--profile=${folder}`], {
    stdio: 'ignore',
    env: { ...process.env, HOME: folder },
  })
  return started(child, folder, url, port)
}

/** As it keeps them: salt and PBKDF2, so that it need not be told over the wire. */
function passwordLines({ user, password }: Login): string[] {
  const salt = randomBytes(16)
  const hash = pbkdf2Sync(password, salt, 100_000, 64, 'sha512')
  const value = `@ByteArray(${salt.toString('base64')}:${hash.toString('base64')})`
  return [`WebUI\\Username=${user}`, `WebUI\\Password_PBKDF2="${value}"`]
}

export async function startTransmission(options: { port?: number; login?: Login } = {}): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-transmission-'))
  const port = options.port ?? (await freePort())
  const rpcPort = await freePort()
  const settings = {
    'rpc-bind-address': '127.0.0.1',
    'rpc-port': rpcPort,
    'rpc-authentication-required': options.login !== undefined,
    'rpc-username': options.login?.user ?? '',
    'rpc-password': options.login?.password ?? '',
    'peer-port': port,
    'bind-address-ipv4': '127.0.0.1',
    'bind-address-ipv6': '::1',
    'dht-enabled': false,
    'lpd-enabled': false,
    'pex-enabled': false,
    'utp-enabled': false,
    'port-forwarding-enabled': false,
    'download-dir': join(folder, 'downloads'),
    'incomplete-dir-enabled': false,
    'trash-original-torrent-files': false,
    'watch-dir-enabled': false,
  }
  await writeFile(join(folder, 'settings.json'), JSON.stringify(settings))
  const child = spawn(PROGRAMS.transmission, ['--foreground', '--config-dir', folder, '--log-error'], {
    stdio: 'ignore',
    env: { ...process.env, HOME: folder },
  })
  return started(child, folder, `http://127.0.0.1:${rpcPort}/`, port)
}

/** Until it answers anything at all; stopped by its process id. */
async function started(child: ChildProcess, folder: string, url: string, port: number): Promise<Program> {
  const ended = once(child, 'exit')
  ended.catch(() => {})
  const stop = async () => {
    child.kill('SIGTERM')
    // Saying goodbye to trackers takes long; there are none.
    const timer = setTimeout(() => child.kill('SIGKILL'), 3_000)
    if (child.exitCode === null && child.signalCode === null) await ended
    clearTimeout(timer)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  const until = performance.now() + 20_000
  for (;;) {
    const isUp = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(2_000) }).then(
      (answer) => answer.text().then(() => true),
      () => false,
    )
    if (isUp) return { url, port, folder, stop }
    if (child.exitCode !== null || performance.now() > until) {
      await stop()
      throw new Error(`${url} does not come up`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
