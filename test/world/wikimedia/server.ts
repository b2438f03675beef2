// dumps.wikimedia.org in small: the folder, its status documents, its limits and its bad days.
import type { AccessLog } from '../access-log.ts'
import { type Exchange, hangUp, noteFault, pathSegments, receiveBytes, send } from '../exchange.ts'
import { type Faults, globMatches, readFaultChange } from '../faults.ts'
import { type FileView, planFile, serveFile } from '../serve-file.ts'
import { ClientLimit, hasContact } from './clients.ts'
import { DigestCache } from './digests.ts'
import { nginxPage, robotPolicyPage } from './pages.ts'
import { type Found, Resolver } from './resolve.ts'
import { StatusMaker } from './status.ts'
import { DumpTree } from './tree.ts'
import { Versions } from './versions.ts'

export type WikimediaOptions = {
  dumps: string
  faults: Faults
  log: AccessLog
  now: () => number
  /** Requests at once for each address and User-Agent. */
  connectionLimit: number
  bytesPerSecond: number | undefined
}

const html = { server: 'nginx/1.18.0', 'content-type': 'text/html' }
const faultChangeMaxBytes = 64 * 1024

export class Wikimedia {
  readonly #options: WikimediaOptions
  readonly #clients = new ClientLimit()
  readonly #versions: Versions
  readonly #resolver: Resolver
  readonly #spoiled = new Map<string, number>()

  constructor(options: WikimediaOptions) {
    this.#options = options
    const { faults, now } = options
    const tree = new DumpTree(options.dumps)
    this.#versions = new Versions(faults)
    const status = new StatusMaker({
      tree,
      digests: new DigestCache(),
      versions: this.#versions,
      faults,
      now,
    })
    this.#resolver = new Resolver({ tree, status, versions: this.#versions, faults, now })
  }

  async handle(ex: Exchange): Promise<void> {
    const client = `${ex.record.remoteAddress} ${ex.userAgent}`
    ex.record.concurrent = this.#clients.enter(client)
    let left = false
    const leave = () => {
      if (!left) this.#clients.leave(client)
      left = true
    }
    ex.res.once('finish', leave)
    ex.res.once('close', leave)
    await this.#answer(ex)
  }

  /** The world's own door: its log, its summary and its faults. Not a part of Wikimedia; not limited, not logged. */
  async control(ex: Exchange): Promise<void> {
    const { log, faults } = this.#options
    if (ex.rawPath === '/_world/log') return sendJson(ex, 200, log.records)
    if (ex.rawPath === '/_world/summary') return sendJson(ex, 200, log.summary())
    if (ex.rawPath !== '/_world/faults') return sendJson(ex, 404, { error: 'no such page of the world' })
    if (ex.method !== 'POST') return sendJson(ex, 200, faults)
    const body = await receiveBytes(ex, faultChangeMaxBytes)
    let value: unknown
    try {
      value = JSON.parse(body?.toString('utf8') ?? '')
    } catch {
      return sendJson(ex, 400, { error: 'the body is not JSON' })
    }
    const read = readFaultChange(value)
    if (!read.ok) return sendJson(ex, 400, { error: read.error })
    Object.assign(faults, read.change)
    return sendJson(ex, 200, faults)
  }

  async #answer(ex: Exchange): Promise<void> {
    const { faults } = this.#options
    if (!hasContact(ex.userAgent)) {
      ex.record.kind = 'page'
      return send(ex, 403, { ...html, 'content-type': 'text/html; charset=utf-8' }, robotPolicyPage)
    }
    if (ex.record.concurrent > this.#options.connectionLimit) return this.#refuse(ex, 429)
    const subject = `${ex.method} ${ex.rawPath}`
    const { burstLength } = faults
    if (ex.dice.hitsBurst('wikimedia429', subject, faults.wikimedia429Rate, burstLength)) {
      noteFault(ex, '429')
      return this.#refuse(ex, 429)
    }
    if (ex.dice.hitsBurst('wikimedia503', subject, faults.wikimedia503Rate, burstLength)) {
      noteFault(ex, '503')
      return this.#refuse(ex, 503)
    }
    if (ex.method !== 'GET' && ex.method !== 'HEAD') return send(ex, 405, html, nginxPage('405 Not Allowed'))
    const segments = pathSegments(ex.rawPath)
    const found = segments && (await this.#resolver.resolve(segments))
    if (!found) {
      ex.record.kind = 'page'
      return send(ex, 404, html, nginxPage('404 Not Found'))
    }
    if (found.kind === 'forbidden') {
      ex.record.kind = 'page'
      return send(ex, 403, html, nginxPage('403 Forbidden'))
    }
    if (found.kind === 'redirect') {
      ex.record.kind = 'page'
      return send(ex, 301, { ...html, location: ex.origin + found.to }, nginxPage('301 Moved Permanently'))
    }
    ex.record.kind = found.kind
    if (found.kind === 'status' && ex.method === 'GET' && (await this.#spoilStatus(ex, subject, found.view)))
      return
    return this.#serve(ex, subject, found)
  }

  #refuse(ex: Exchange, status: 429 | 503): Promise<void> {
    ex.record.kind = 'page'
    const title = status === 429 ? '429 Too Many Requests' : '503 Service Temporarily Unavailable'
    return send(
      ex,
      status,
      { ...html, 'retry-after': this.#options.faults.retryAfterSeconds },
      nginxPage(title),
    )
  }

  /** True when the answer was given: HTML instead of JSON, or JSON that ends too early. */
  async #spoilStatus(ex: Exchange, subject: string, view: FileView): Promise<boolean> {
    const { faults } = this.#options
    if (!ex.rawPath.endsWith('.json')) return false
    if (ex.dice.hits('htmlJson', subject, faults.htmlJsonRate)) {
      noteFault(ex, 'html-json')
      await send(
        ex,
        200,
        { ...html, 'content-type': 'text/html; charset=utf-8' },
        nginxPage('Wikimedia Error'),
      )
      return true
    }
    if (view.sizeBytes > 1 && ex.dice.hits('truncatedJson', subject, faults.truncatedJsonRate)) {
      noteFault(ex, 'truncated-json')
      const keep = 1 + Math.floor(ex.dice.draw('truncateAt', subject) * (view.sizeBytes - 1))
      const chunks: Buffer[] = []
      for await (const chunk of view.read(0, keep - 1)) chunks.push(chunk)
      await send(ex, 200, { server: html.server, 'content-type': 'application/json' }, Buffer.concat(chunks))
      return true
    }
    return false
  }

  async #serve(ex: Exchange, subject: string, found: Extract<Found, { view: FileView }>): Promise<void> {
    const { faults } = this.#options
    const honest = found.view
    let view = honest
    let cutAfterBytes: number | undefined
    const plan = planFile(ex, view)
    if (found.disk && ex.method === 'GET' && plan.hasBody) {
      this.#versions.noteRead(found.disk.urlPath)
      if (found.disk.state.version === 2) noteFault(ex, 'changed')
      const length = plan.last - plan.first + 1
      if (found.kind === 'dump' && length > 1 && ex.dice.hits('cut', subject, faults.cutRate)) {
        noteFault(ex, 'cut')
        cutAfterBytes = Math.floor(ex.dice.draw('cutAt', subject) * (length - 1))
        if (cutAfterBytes === 0) cutAfterBytes = 1
      }
      if (found.kind === 'dump' && this.#isSpoiled(ex, subject, view, plan)) {
        noteFault(ex, 'wrong-bytes')
        view = { ...view, read: (first, last) => flipMiddle(honest, first, last) }
      }
    }
    await serveFile(
      ex,
      view,
      { bytesPerSecond: this.#options.bytesPerSecond, cutAfterBytes },
      { server: html.server },
    )
    if (cutAfterBytes !== undefined && !ex.res.writableEnded) hangUp(ex)
  }

  /** Only an answer that covers the altered byte, which is the file's middle one, counts as spoiled. */
  #isSpoiled(ex: Exchange, subject: string, view: FileView, plan: { first: number; last: number }): boolean {
    const { faults } = this.#options
    const middle = Math.floor(view.sizeBytes / 2)
    if (view.sizeBytes === 0 || middle < plan.first || middle > plan.last) return false
    for (const { glob, times } of faults.wrongBytes) {
      if (!globMatches(glob, decodeURIComponent(ex.rawPath))) continue
      const key = `${glob} ${ex.rawPath}`
      const count = this.#spoiled.get(key) ?? 0
      if (times > 0 && count >= times) continue
      this.#spoiled.set(key, count + 1)
      return true
    }
    return ex.dice.hits('wrongBytes', subject, faults.wrongBytesRate)
  }
}

async function* flipMiddle(view: FileView, first: number, last: number): AsyncIterable<Buffer> {
  const middle = Math.floor(view.sizeBytes / 2)
  let at = first
  for await (const chunk of view.read(first, last)) {
    const inside = middle - at
    at += chunk.length
    if (inside >= 0 && inside < chunk.length) {
      const altered = Buffer.from(chunk)
      altered.writeUInt8(altered.readUInt8(inside) ^ 0xff, inside)
      yield altered
    } else yield chunk
  }
}

function sendJson(ex: Exchange, status: number, value: unknown): Promise<void> {
  return send(ex, status, { 'content-type': 'application/json' }, JSON.stringify(value))
}
