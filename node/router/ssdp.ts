/** Finds UPnP routers of the home network (UPnP Device Architecture 1.1, 1.3): one question by multicast, bounded answers. */
import { createSocket } from 'node:dgram'
import { RouterError } from '../ports.ts'
import { reasonOf } from './reason.ts'

export interface SsdpOptions {
  /** Where the question goes. @default 239.255.255.250:1900 */
  readonly to?: { readonly host: string; readonly port: number }
  /** How long answers are waited for. @default 2500 */
  readonly waitMs?: number
}

/** Both forms of the standard: a router of the second answers to the first as well, but not every one does. */
const TARGETS = [
  'urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'urn:schemas-upnp-org:device:InternetGatewayDevice:2',
]
const MULTICAST = { host: '239.255.255.250', port: 1_900 }
/** Answers come within a second by MX below. */
const WAIT_MS = 2_500
const REPEAT_MS = 1_000
const ANSWER_BYTES_MAX = 2_048
const ROUTERS_MAX = 4

/** Addresses of device descriptions, in the order in which they came. One that is elsewhere than who named it is left out. */
export async function findDescriptions(
  { to = MULTICAST, waitMs = WAIT_MS }: SsdpOptions,
  signal: AbortSignal,
): Promise<URL[]> {
  const found = new Map<string, URL>()
  const socket = createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const ask = () => {
    for (const target of TARGETS) socket.send(question(target), to.port, to.host)
  }
  const abort = () => reject(signal.reason)
  socket.on('error', (error) => reject(new RouterError('absent', `the home network: ${reasonOf(error)}`)))
  socket.on('message', (answer, from) => {
    const location = locationIn(answer)
    if (location === null || location.hostname !== from.address || found.size >= ROUTERS_MAX) return
    found.set(location.href, location)
  })
  signal.addEventListener('abort', abort)
  const end = setTimeout(resolve, waitMs)
  // UDP loses things; asked twice.
  const again = setTimeout(ask, Math.min(REPEAT_MS, waitMs / 2))
  try {
    if (signal.aborted) abort()
    else socket.bind(ask)
    await promise
    return [...found.values()]
  } finally {
    clearTimeout(end)
    clearTimeout(again)
    signal.removeEventListener('abort', abort)
    socket.close()
  }
}

function question(target: string): string {
  const lines = ['M-SEARCH * HTTP/1.1', `HOST: ${MULTICAST.host}:${MULTICAST.port}`, 'MAN: "ssdp:discover"']
  return [...lines, 'MX: 1', `ST: ${target}`, '', ''].join('\r\n')
}

/** Where a router that answers says its description is; null when it is no such answer. */
function locationIn(answer: Buffer): URL | null {
  if (answer.length > ANSWER_BYTES_MAX) return null
  const text = answer.toString('latin1')
  if (!/^HTTP\/1\.[01] 200\b/.test(text) || !/^ST:[ \t]*\S*:InternetGatewayDevice:[12]\s*$/im.test(text))
    return null
  const url = URL.parse(/^LOCATION:[ \t]*(\S+)/im.exec(text)?.[1] ?? '')
  return url?.protocol === 'http:' && url.username === '' ? url : null
}
