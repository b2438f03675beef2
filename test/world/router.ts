// Which service a request is for. Each service has its own port; a client that knows only the real host names
// (as Debian's `ia`) may use any port as its HTTP proxy and is sent to the service that stands for that name.
import type { IncomingMessage } from 'node:http'
import type { ServiceName } from './faults.ts'

export type Target = {
  service: ServiceName
  origin: string
  proxied: boolean
  rawPath: string
  rawQuery: string
}

const knownHosts: { pattern: RegExp; service: ServiceName }[] = [
  { pattern: /^dumps\.wikimedia\.org$/, service: 'wikimedia' },
  { pattern: /^s3\.us\.archive\.org$/, service: 'archiveS3' },
  { pattern: /^(?:(?:www\.|ia\d+\.us\.)?archive\.org)$/, service: 'archive' },
  { pattern: /\.r2\.cloudflarestorage\.com$/, service: 'r2' },
  { pattern: /\.r2\.dev$/, service: 'r2Public' },
  { pattern: /^api\.github\.com$/, service: 'gist' },
  { pattern: /^gist\.githubusercontent\.com$/, service: 'gist' },
]

/** Undefined for the proxy form with a host that this world does not hold. */
export function targetOf(req: IncomingMessage, portService: ServiceName): Target | undefined {
  const raw = req.url ?? '/'
  const absolute = /^http:\/\/([^/?#]+)(.*)$/i.exec(raw)
  const rest = absolute ? (absolute[2] ?? '') : raw
  const host = absolute?.[1] ?? req.headers.host ?? 'localhost'
  const name = host.toLowerCase().replace(/:\d+$/, '')
  const known = knownHosts.find(({ pattern }) => pattern.test(name))
  if (absolute && !known && host !== req.headers.host) return undefined
  const [path = '', ...query] = rest.split('?')
  return {
    service: known?.service ?? portService,
    origin: `http://${known === undefined ? withPort(host, req.socket.localPort) : host}`,
    proxied: known !== undefined,
    rawPath: path.startsWith('/') ? path : `/${path}`,
    rawQuery: query.join('?'),
  }
}

/** libtorrent 2.0 leaves the port out of its Host header; where it is sent next must have one. */
function withPort(host: string, port: number | undefined): string {
  return /:[0-9]+$/.test(host) || port === undefined || port === 80 ? host : `${host}:${port}`
}
