/** The router of this machine: the IPv4 default route, as Linux tells it. */
import { readFile } from 'node:fs/promises'
import { isMissing } from '../system-error.ts'

const ROUTES = '/proc/net/route'
/** RTF_UP and RTF_GATEWAY of route(8). */
const FLAGS = 0x3

/** `192.168.1.1`; null without a default route, and on systems that do not tell it here. */
export async function defaultGateway(): Promise<string | null> {
  const text = await readFile(ROUTES, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return ''
    throw error
  })
  return gatewayIn(text)
}

/** From the text of /proc/net/route, the route of the smallest metric. Exported for tests. */
export function gatewayIn(text: string): string | null {
  let best: { readonly gateway: string; readonly metric: number } | null = null
  for (const line of text.split('\n').slice(1)) {
    const [, destination, gateway = '', flags = '', , , metric, mask] = line.trim().split(/\s+/)
    const isDefault = destination === '00000000' && mask === '00000000'
    if (!isDefault || (Number.parseInt(flags, 16) & FLAGS) !== FLAGS || !/^[0-9A-F]{8}$/i.test(gateway))
      continue
    if (best === null || Number(metric) < best.metric) best = { gateway, metric: Number(metric) }
  }
  // The bytes of the address in the order of a little-endian machine: all that Node 24 runs Linux on, but s390x.
  return best === null ? null : [...Buffer.from(best.gateway, 'hex').reverse()].join('.')
}
