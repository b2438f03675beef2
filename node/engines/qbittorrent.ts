/**
 * qBittorrent by its Web API 2.8 and later (4.5, https://github.com/qbittorrent/qBittorrent/blob/master/WebAPI_Changelog.md).
 * What differs by version: files are taken without a check by `skip_checking`, and from 2.16 by `seedMode`; `paused` became
 * `stopped` in 2.11; wrong credentials are 200 "Fails.", and 401 from 2.14; adding answers "Ok.", and JSON from 2.14. Unknown fields
 * are ignored by all, so both names are sent.
 */
import { isIP } from 'node:net'
import { integer, list, type Reader, record, ShapeError, text } from '../../protocol/codec/shape.ts'
import { type Infohash, isInfohash } from '../../protocol/ids.ts'
import { endpointText } from '../net/addresses.ts'
import { TorrentError, type TorrentPeer } from '../ports.ts'
import { type Answer, exchange, parseJson } from './http.ts'
import { type ClientState, type ClientTorrent, MARK, type SeedClient } from './seed-client.ts'

export interface QBittorrentOptions {
  /** Of its Web UI, with `/` at its end. */
  readonly url: string
  /** null: it lets this machine in without (`bypass_local_auth`). */
  readonly user: string | null
  readonly password: string | null
}

const NAME = 'qBittorrent'
const TORRENTS_MAX = 100_000
const PATH_LENGTH_MAX = 4_096
const VERSION_MIN = [2, 8] as const

export class QBittorrent implements SeedClient {
  readonly name = NAME
  readonly #options: QBittorrentOptions
  readonly #base: URL
  #cookie = ''

  constructor(options: QBittorrentOptions) {
    this.#options = options
    this.#base = new URL('api/v2/', options.url)
  }

  async connect(): Promise<{ version: string; port: number }> {
    await this.#login()
    const api = (await this.#get('app/webapiVersion')).trim()
    const [, major = '', minor = ''] = /^(\d{1,4})\.(\d{1,4})(?:\.|$)/.exec(api) ?? []
    if (major === '') throw new TorrentError('engine', `${this.#base.origin} is no qBittorrent`)
    if (Number(major) * 10_000 + Number(minor) < VERSION_MIN[0] * 10_000 + VERSION_MIN[1])
      throw new TorrentError(
        'engine',
        `qBittorrent 4.3 or newer is needed (its Web API is ${api.slice(0, 20)})`,
      )
    const version = (await this.#get('app/version')).trim().replace(/^v/, '').slice(0, 40)
    const preferences = parseJson(NAME, await this.#get('app/preferences'))
    const port = read(() => integer(record(preferences, 'preferences').listen_port, 'listen_port', 0, 65_535))
    if (port === 0)
      throw new TorrentError('engine', 'qBittorrent takes another port at each start: give it a fixed one')
    return { version, port }
  }

  async list(): Promise<ClientTorrent[]> {
    return this.#torrents({ category: MARK })
  }

  async find(infohash: Infohash): Promise<ClientTorrent | null> {
    return (await this.#torrents({ hashes: infohash })).find((one) => one.infohash === infohash) ?? null
  }

  async add(torrent: Uint8Array, infohash: Infohash, folder: string): Promise<void> {
    const form = new FormData()
    form.append('torrents', new Blob([Buffer.from(torrent)]), `${infohash}.torrent`)
    const fields = {
      savepath: folder,
      category: MARK,
      // Otherwise the category's own folder would count, and a folder for what is not complete.
      autoTMM: 'false',
      useDownloadPath: 'false',
      contentLayout: 'Original',
      // Every byte was held to its digests before.
      skip_checking: 'true',
      seedMode: 'true',
      // Started once it is seen to be whole: it makes and fetches what it does not find.
      paused: 'true',
      stopped: 'true',
      ratioLimit: '-1',
      seedingTimeLimit: '-1',
      inactiveSeedingTimeLimit: '-1',
    }
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    const answer = await this.#ask('torrents/add', form)
    const refused = answer.text.startsWith('Fails') || answer.status === 409 || answer.status === 415
    // A torrent that is there already is refused too.
    if (refused && (await this.find(infohash))?.isOurs !== true)
      throw new TorrentError('engine', `qBittorrent did not take ${infohash}`)
    if (!refused) ok(answer, 'torrents/add')
  }

  async start(infohashes: readonly Infohash[]): Promise<void> {
    if (infohashes.length === 0) return
    // Past its queue, which lets three torrents upload at a time. One that misses files would begin to fetch.
    await this.#post('torrents/setForceStart', { hashes: infohashes.join('|'), value: 'true' })
  }

  async remove(infohashes: readonly Infohash[]): Promise<void> {
    if (infohashes.length === 0) return
    await this.#post('torrents/delete', { hashes: infohashes.join('|'), deleteFiles: 'false' })
  }

  async addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): Promise<void> {
    const addresses = peers.filter(({ host }) => isIP(host) !== 0).map(endpointText)
    if (addresses.length === 0) return
    await this.#post('torrents/addPeers', { hashes: infohash, peers: addresses.join('|') })
  }

  async #torrents(filter: Readonly<Record<string, string>>): Promise<ClientTorrent[]> {
    const answer = await this.#get(`torrents/info?${new URLSearchParams(filter)}`)
    return read(() => list(parseJson(NAME, answer), 'torrents', TORRENTS_MAX, readTorrent)).filter(
      (one) => one !== null,
    )
  }

  async #get(path: string): Promise<string> {
    return ok(await this.#ask(path), path)
  }

  async #post(path: string, fields: Readonly<Record<string, string>>): Promise<void> {
    ok(await this.#ask(path, new URLSearchParams(fields)), path)
  }

  /** A session ends after an hour without a request, and when the program starts again. */
  async #ask(path: string, body?: FormData | URLSearchParams): Promise<Answer> {
    const answer = await this.#send(path, body)
    if (answer.status !== 401 && answer.status !== 403) return answer
    await this.#login()
    return this.#send(path, body)
  }

  async #login(): Promise<void> {
    const { user, password } = this.#options
    if (user === null) return
    this.#cookie = ''
    const answer = await this.#send(
      'auth/login',
      new URLSearchParams({ username: user, password: password ?? '' }),
    )
    if (answer.status === 403)
      throw new TorrentError('engine', 'qBittorrent has shut us out after too many failed logins')
    const refused = answer.status === 401 || answer.text.startsWith('Fails')
    if (refused) throw new TorrentError('engine', 'qBittorrent does not accept this user name and password')
    ok(answer, 'auth/login')
    // SID, or QBT_SID_<port> in newer versions.
    this.#cookie = answer.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';', 1)[0] ?? '')
      .join('; ')
  }

  #send(path: string, body?: FormData | URLSearchParams): Promise<Answer> {
    return exchange({
      program: NAME,
      url: new URL(path, this.#base),
      headers: {
        // Its protection against pages of other sites compares this with the host.
        referer: this.#base.href,
        ...(this.#cookie === '' ? {} : { cookie: this.#cookie }),
      },
      ...(body === undefined ? {} : { body }),
    })
  }
}

/** The text of an answer that is no refusal. */
function ok({ status, text }: Answer, path: string): string {
  if (status === 401 || status === 403)
    throw new TorrentError('engine', 'qBittorrent wants a user name and a password, or forbids this address')
  if (status < 200 || status > 299)
    throw new TorrentError('engine', `qBittorrent answered ${path.split('?', 1)[0]} with status ${status}`)
  return text
}

function read<T>(reader: () => T): T {
  try {
    return reader()
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw new TorrentError('engine', `qBittorrent answered something strange: ${error.message}`)
  }
}

const STATES: Readonly<Record<string, ClientState>> = {
  uploading: 'seeding',
  stalledUP: 'seeding',
  forcedUP: 'seeding',
  // Held back by the queue, or stopped: until it is forced again it gives nothing.
  queuedUP: 'stopped',
  pausedUP: 'stopped',
  stoppedUP: 'stopped',
  missingFiles: 'missing',
  // Somebody had it checked again, and it misses pieces; or it cannot read.
  error: 'damaged',
  downloading: 'damaged',
  stalledDL: 'damaged',
  forcedDL: 'damaged',
  queuedDL: 'damaged',
  pausedDL: 'damaged',
  stoppedDL: 'damaged',
}

/** null: a torrent without a v1 infohash, which is none of ours. */
const readTorrent: Reader<ClientTorrent | null> = (value, path) => {
  const fields = record(value, path)
  const infohash = text(fields.hash, `${path}.hash`, 64)
  if (!isInfohash(infohash)) return null
  const state = text(fields.state, `${path}.state`, 64)
  const sizeBytes = integer(fields.total_size, `${path}.total_size`, -1)
  const leftBytes = integer(fields.amount_left, `${path}.amount_left`, -1)
  const seeds = integer(fields.num_seeds, `${path}.num_seeds`, -1)
  const leechers = integer(fields.num_leechs, `${path}.num_leechs`, -1)
  return {
    infohash,
    isOurs: text(fields.category, `${path}.category`, PATH_LENGTH_MAX) === MARK,
    folder: text(fields.save_path, `${path}.save_path`, PATH_LENGTH_MAX),
    state: (Object.hasOwn(STATES, state) ? STATES[state] : undefined) ?? 'checking',
    detail: state,
    sizeBytes: Math.max(0, sizeBytes),
    doneBytes: Math.max(0, sizeBytes - Math.max(0, leftBytes)),
    uploadedBytes: integer(fields.uploaded, `${path}.uploaded`),
    peers: Math.max(0, seeds) + Math.max(0, leechers),
  }
}
