/** A plain HTTP mirror of a folder, with ranges, as web seeds need it (RFC 9110 14). */
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Mirror {
  /** Ends with a slash. */
  readonly url: string
  /** Of bodies. */
  readonly sentBytes: number
  /** Paths that were asked for and are not there. */
  readonly missed: readonly string[]
  close(): Promise<void>
}

/** `without`: paths that this mirror does not have. */
export async function startMirror(folder: string, without: (path: string) => boolean): Promise<Mirror> {
  let sentBytes = 0
  const missed: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://mirror').pathname)
    const facts = path.includes('..') ? undefined : statSync(join(folder, path), { throwIfNoEntry: false })
    if (facts?.isFile() !== true || without(path)) {
      missed.push(path)
      return void response.writeHead(404).end()
    }
    const [range, from, to] = /^bytes=([0-9]+)-([0-9]*)$/.exec(request.headers.range ?? '') ?? []
    const start = Number(from ?? 0)
    const end = Math.min(to === undefined || to === '' ? facts.size - 1 : Number(to), facts.size - 1)
    response.writeHead(range === undefined ? 200 : 206, {
      'accept-ranges': 'bytes',
      'content-length': facts.size === 0 ? 0 : end - start + 1,
      ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${facts.size}` }),
    })
    if (request.method === 'HEAD' || facts.size === 0) return void response.end()
    const stream = createReadStream(join(folder, path), { start, end })
    stream.on('data', (chunk) => (sentBytes += chunk.length))
    stream.pipe(response)
    response.once('close', () => stream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get sentBytes() {
      return sentBytes
    },
    missed,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
