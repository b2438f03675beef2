/** The Origin port: Wikimedia's dumps over HTTP, politely (PROTOCOL 6; facts: politeness and HTTP behaviour). */

import { rm } from 'node:fs/promises'
import { isRunDate } from '../../protocol/dump/dates.ts'
import { readDumpIndex } from '../../protocol/dump/dump-index.ts'
import { isWiki } from '../../protocol/ids.ts'
import { DUMP_INDEX_BYTES_MAX, DUMP_STATUS_BYTES_MAX, PATH_BYTES_MAX } from '../../protocol/limits.ts'
import { bootId } from '../files/boot.ts'
import type { OnStep } from '../files/steps.ts'
import type { Clock, DownloadPlace, Origin, OriginFile } from '../ports.ts'
import { createClient } from './client.ts'
import { createDocuments } from './documents.ts'
import { download, SYNC_EVERY_BYTES } from './download.ts'
import { createHostLimiter, limitPerHost } from './host-limiter.ts'
import { type Sleep, sleep as timerSleep } from './pace.ts'
import { metaPath } from './partial-file.ts'
import { downloadRange } from './range.ts'
import { followRedirects } from './redirect.ts'

export interface OriginOptions {
  /** `https://dumps.wikimedia.org/` or a mirror of its layout; http or https, no user name in it. */
  readonly baseUrl: string
  /** Hosts to which a redirect may lead besides that of baseUrl. */
  readonly redirectHosts?: readonly string[]
  /** E-mail or web address of the operator: upstream refuses clients without one. */
  readonly contact: string
  readonly version: string
  readonly nodeId: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly sleep?: Sleep
  /** Told when a host asked for a pause. */
  readonly onPause?: (host: string, ms: number) => void
  readonly requestTimeoutMs?: number
  readonly bodyTimeoutMs?: number
  readonly retriesMax?: number
  readonly backoffBaseMs?: number
  readonly backoffMaxMs?: number
  readonly retryAfterMaxMs?: number
  /** Which start of the machine this is; see node/files/boot. */
  readonly boot?: string
  readonly syncEveryBytes?: number
  /** Waits until so many bytes of dump files may be received: the bandwidth cap. */
  readonly pace?: (count: number, signal?: AbortSignal) => Promise<void>
  readonly onStep?: OnStep
}

/** PROTOCOL 6: per host, for the whole process, status reads included. */
const CONNECTIONS_MAX = 2
const QUEUE_MAX = 4_096
const REDIRECTS_MAX = 3
/** A mirror that wants a longer pause is left for another place. */
const ELSEWHERE_PAUSE_MAX_MS = 10_000

/** Throws TypeError for options that upstream would refuse. */
export function createOrigin(options: OriginOptions): Origin {
  const base = parseBase(options.baseUrl)
  const sleep = options.sleep ?? timerSleep
  const backoff = {
    baseMs: options.backoffBaseMs ?? 1_000,
    maxMs: options.backoffMaxMs ?? 60_000,
    random: options.random,
  }
  let bytesReceived = 0
  let bytesElsewhere = 0
  const plain = createClient({
    userAgent: userAgent(options),
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    bodyTimeoutMs: options.bodyTimeoutMs ?? 60_000,
    connectionsMax: CONNECTIONS_MAX,
    onBodyBytes: (count) => {
      bytesReceived += count
    },
  })
  const limiter = createHostLimiter({
    connectionsMax: CONNECTIONS_MAX,
    queueMax: QUEUE_MAX,
    clock: options.clock,
    sleep,
  })
  const limited = limitPerHost(plain, limiter, {
    backoff,
    retryAfterMaxMs: options.retryAfterMaxMs ?? 3_600_000,
    clock: options.clock,
    onPause: options.onPause,
  })
  const client = followRedirects(limited, { redirectsMax: REDIRECTS_MAX, hosts: options.redirectHosts ?? [] })
  const policy = { retriesMax: options.retriesMax ?? 5, backoff, sleep }
  // Where there is another source, it is asked sooner.
  const elsewhere = { ...policy, retriesMax: Math.min(policy.retriesMax, 2) }
  const boot = options.boot ?? bootId(options.clock.wallMs())

  const documents = createDocuments(client, policy)
  const documentsElsewhere = createDocuments(client, elsewhere, ELSEWHERE_PAUSE_MAX_MS)

  /** What every transfer of a file or a part of it has in common. */
  const transferOf = (
    { path, sizeBytes }: OriginFile,
    {
      from,
      onBytes,
      signal,
    }: { from?: DownloadPlace; onBytes?: (count: number) => void; signal?: AbortSignal },
  ) => ({
    policy: from === undefined ? policy : elsewhere,
    job: {
      url: addressOf(path, from === undefined ? base : parseBase(from.baseUrl)),
      sizeBytes,
      pauseMaxMs: from === undefined ? undefined : ELSEWHERE_PAUSE_MAX_MS,
      pace: options.pace,
      signal,
      onBytes: (count: number) => {
        if (from !== undefined) bytesElsewhere += count
        onBytes?.(count)
      },
    },
  })

  return {
    async index(signal) {
      const parse = (text: string) => readDumpIndex(JSON.parse(text), 'index.json')
      const expected = 'the JSON index of all wikis'
      const options = { bytesMax: DUMP_INDEX_BYTES_MAX, parse, expected, signal }
      return new Map((await documents.read(new URL('index.json', base), options)).value.runs)
    },
    async dumpStatus(wiki, date, signal) {
      const url = new URL(`${runPath(wiki, date)}/dumpstatus.json`, base)
      const options = { bytesMax: DUMP_STATUS_BYTES_MAX, parse: parseJson, expected: 'JSON', signal }
      return (await documents.read(url, options)).value
    },
    async checksums(wiki, date, algorithm, signal) {
      const url = new URL(`${runPath(wiki, date)}/${wiki}-${date}-${algorithm}sums.txt`, base)
      return (await documents.text(url, signal))?.text ?? null
    },
    list: (folder, signal) => documents.list(new URL(`${addressOf(folder, base)}/`), signal),
    text: (path, signal) => documents.text(addressOf(path, base), signal),
    facts: (path, signal, from) =>
      from === undefined
        ? documents.facts(addressOf(path, base), signal)
        : documentsElsewhere.facts(addressOf(path, parseBase(from.baseUrl)), signal),
    async download(file, toPath, given) {
      const { syncEveryBytes = SYNC_EVERY_BYTES } = options
      const { policy, job } = transferOf(file, given)
      const label = given.from?.label ?? base.host
      const { onStep } = options
      const { anew } = given
      const whole = { ...job, label, toPath, anew, boot, syncEveryBytes, onStep }
      const givers = await download(client, policy, whole)
      await rm(metaPath(toPath), { force: true })
      onStep?.('file-whole')
      return givers
    },
    async range(file, range, use, given) {
      const { policy, job } = transferOf(file, given)
      await downloadRange(client, policy, { ...job, ...range, onStep: options.onStep }, use)
    },
    label: base.host,
    get bytesReceived() {
      return bytesReceived - bytesElsewhere
    },
    get bytesElsewhere() {
      return bytesElsewhere
    },
    close: () => client.close(),
  }
}

/** `WikiSeed/0.1.0 (mail@example.org; node 4kLm9xQ2)`: who, how to reach the operator, which node (Wikimedia's robot policy). */
export function userAgent(options: Pick<OriginOptions, 'contact' | 'version' | 'nodeId'>): string {
  const { contact } = options
  const plain = /^[\x21-\x7e]{3,200}$/.test(contact) && !/[();]/.test(contact)
  if (!plain || !(/^[^@\s]+@[^@\s]+$/.test(contact) || /^https?:\/\/[^/]+/.test(contact))) {
    throw new TypeError(
      'a contact (an e-mail or a web address) is needed: Wikimedia refuses clients without one',
    )
  }
  return `WikiSeed/${options.version} (${contact}; node ${options.nodeId.slice(-8)})`
}

function parseBase(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new TypeError(
      `the origin must be an http or https address without a user name: ${JSON.stringify(text)}`,
    )
  }
  url.search = ''
  url.hash = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

function runPath(wiki: string, date: string): string {
  if (!isWiki(wiki) || !isRunDate(date)) throw new TypeError(`not a run: ${JSON.stringify([wiki, date])}`)
  return `${wiki}/${date}`
}

/**
 * A path below a base. Elements are plain ASCII, so that it cannot leave the base or carry a query; `+` is encoded, which some servers
 * take for a space. Throws TypeError for any other path.
 */
function addressOf(path: string, base: URL): URL {
  const elements = path.split('/')
  const isPlain = elements.every((element) => /^(?:_SUCCESS|[A-Za-z0-9][A-Za-z0-9_.+-]*)$/.test(element))
  if (!isPlain || path.length > PATH_BYTES_MAX)
    throw new TypeError(`not a path below the origin: ${JSON.stringify(path.slice(0, PATH_BYTES_MAX))}`)
  return new URL(elements.map(encodeURIComponent).join('/'), base)
}

function parseJson(text: string): unknown {
  return JSON.parse(text)
}
