/** Maps one port in a process of its own, as it finds the router there: `map-child.ts NAT-PMP 4811`. A line in: it is taken away. */
import { once } from 'node:events'
import { defaultGateway } from '../../../node/router/default-gateway.ts'
import { NatPmpRouter } from '../../../node/router/nat-pmp.ts'
import { UpnpRouter } from '../../../node/router/upnp.ts'

const [name, port] = process.argv.slice(2)
const router =
  name === 'UPnP' ? new UpnpRouter({ random: Math.random }) : new NatPmpRouter({ gateway: defaultGateway })
const signal = AbortSignal.timeout(20_000)
const mapping = await router.map({ name: 'libp2p', protocol: 'tcp', port: Number(port) }, { signal })
console.log(JSON.stringify(mapping))
await once(process.stdin, 'data')
await router.unmap(mapping, signal)
console.log('unmapped')
process.stdin.destroy()
