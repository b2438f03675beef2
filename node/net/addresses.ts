/** What addresses of this machine mean to others. */
import { networkInterfaces } from 'node:os'
import { networkOfAddress } from '../../protocol/placement/network.ts'

/** An address that stands for all of this machine's is none that others can dial: those themselves, public ones first. */
export function hostsOf(host: string, interfaces = networkInterfaces()): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host]
  const hosts = Object.values(interfaces)
    .flatMap((one) => one ?? [])
    .filter(({ internal, family, address }) => {
      const isWanted = host === '::' || family === 'IPv4'
      return isWanted && !internal && !/^(?:fe80:|169\.254\.)/i.test(address)
    })
    .map(({ address }) => address)
  const rank = (address: string) => (networkOfAddress(address) === null ? 1 : 0)
  return hosts.toSorted((a, b) => rank(a) - rank(b))
}

/** Nobody but this machine gets there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(?:::ffff:)?127\./.test(host)
}

/** `192.0.2.7:6881`, `[2001:db8::7]:6881`. */
export function endpointText({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
