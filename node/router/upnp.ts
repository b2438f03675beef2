/** Ports mapped by a UPnP router: found by SSDP, told by SOAP (UPnP WANIPConnection 1 and 2, 2.4). */
import { createSocket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { type OwnPort, type PortMapping, type Router, RouterError } from '../ports.ts'
import { call, elementIn, readServices, UpnpRefusal, type WanService } from './igd.ts'
import { reasonOf } from './reason.ts'
import { findDescriptions, type SsdpOptions } from './ssdp.ts'

export interface UpnpOptions extends SsdpOptions {
  /** In [0, 1): which port to ask for when another machine has the wanted one. */
  readonly random: () => number
}

const LEASE_SECONDS = 3_600
/** UPnP error codes of WANIPConnection. */
const CONFLICT = 718
const SAME_PORT_VALUES_REQUIRED = 724
const ONLY_PERMANENT_LEASES = 725
const NO_SUCH_ENTRY = 714
/** Ports asked for in all when others have them. */
const PORTS_TRIED_MAX = 4
/** Not registered, and mostly not taken (RFC 6335). */
const DYNAMIC_PORT_MIN = 49_152

/** A service that has an outside address. */
interface Found {
  readonly service: WanService
  /** Ours, as that router sees us. */
  readonly localHost: string
}

export class UpnpRouter implements Router {
  readonly name = 'UPnP'
  readonly #options: UpnpOptions
  #found: Found | null = null

  constructor(options: UpnpOptions) {
    this.#options = options
  }

  async map(
    own: OwnPort,
    { externalPort = own.port, signal }: { externalPort?: number; signal: AbortSignal },
  ): Promise<PortMapping> {
    this.#found ??= await this.#find(signal)
    const { service } = this.#found
    try {
      const externalHost = await externalHostOf(service, signal)
      if (externalHost === null) throw new RouterError('refused', 'the router has no outside address now')
      const given = await this.#add(this.#found, own, externalPort, signal)
      return { protocol: own.protocol, internalPort: own.port, externalHost, ...given }
    } catch (error) {
      // Looked for again at the next try: it may have another address, or be another router.
      this.#found = null
      throw error
    }
  }

  async unmap({ protocol, externalPort }: PortMapping, signal: AbortSignal): Promise<void> {
    const { service } = this.#found ?? (await this.#find(signal))
    try {
      await call(service, 'DeletePortMapping', entry(protocol, externalPort), signal)
    } catch (error) {
      if (error instanceof UpnpRefusal && error.upnpCode === NO_SUCH_ENTRY) return
      throw error
    }
  }

  async #find(signal: AbortSignal): Promise<Found> {
    const descriptions = await findDescriptions(this.#options, signal)
    let problem = new RouterError('absent', 'no router answers')
    for (const description of descriptions) {
      try {
        const services = await readServices(description, signal)
        for (const service of services) {
          if ((await externalHostOf(service, signal)) === null) continue
          return { service, localHost: await localHostTowards(description) }
        }
        problem = new RouterError('refused', `${description.host} has no outside address now`)
      } catch (error) {
        if (!(error instanceof RouterError)) throw error
        problem = error
      }
    }
    throw problem
  }

  /** Adds or renews an entry, on another outside port when the wanted one is taken. */
  async #add(
    { service, localHost }: Found,
    { name, protocol, port }: OwnPort,
    wantedPort: number,
    signal: AbortSignal,
  ): Promise<Pick<PortMapping, 'externalPort' | 'lifetimeMs'>> {
    let externalPort = wantedPort
    let leaseSeconds = LEASE_SECONDS
    for (let tried = 1; ; ) {
      try {
        const values = {
          ...entry(protocol, externalPort),
          NewInternalPort: port,
          NewInternalClient: localHost,
          NewEnabled: 1,
          NewPortMappingDescription: `WikiSeed ${name}`,
          NewLeaseDuration: leaseSeconds,
        }
        await call(service, 'AddPortMapping', values, signal)
        return { externalPort, lifetimeMs: leaseSeconds === 0 ? null : leaseSeconds * 1_000 }
      } catch (error) {
        const code = error instanceof UpnpRefusal ? error.upnpCode : null
        if (code === ONLY_PERMANENT_LEASES && leaseSeconds > 0) leaseSeconds = 0
        else if (code === CONFLICT && tried++ < PORTS_TRIED_MAX) externalPort = this.#otherPort()
        else if (code === SAME_PORT_VALUES_REQUIRED)
          throw new RouterError(
            'refused',
            `another machine has port ${port}, and the router gives no other number`,
          )
        else throw error
      }
    }
  }

  #otherPort(): number {
    return DYNAMIC_PORT_MIN + Math.floor(this.#options.random() * (65_536 - DYNAMIC_PORT_MIN))
  }
}

function entry(protocol: OwnPort['protocol'], externalPort: number): Record<string, string | number> {
  return { NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: protocol.toUpperCase() }
}

/** null when it is not connected. */
async function externalHostOf(service: WanService, signal: AbortSignal): Promise<string | null> {
  const host =
    elementIn(await call(service, 'GetExternalIPAddress', {}, signal), 'NewExternalIPAddress') ?? ''
  return isIPv4(host) && host !== '0.0.0.0' ? host : null
}

/** Our own address on the way to that router. A connected UDP socket knows it, and nothing is sent. */
function localHostTowards({ hostname, port }: URL): Promise<string> {
  const socket = createSocket('udp4')
  return new Promise<string>((resolve, reject) => {
    socket.on('error', (error) => reject(new RouterError('absent', `${hostname}: ${reasonOf(error)}`)))
    socket.connect(Number(port || 80), hostname, () => resolve(socket.address().address))
  }).finally(() => socket.close())
}
