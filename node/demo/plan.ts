/** Who takes part in the demo, where, and how each process is started. Nothing here is known to the processes themselves. */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { join } from 'node:path'

export interface PlannedNode {
  readonly name: string
  readonly operator: string
  readonly dataDir: string
  readonly libp2pPort: number
  readonly bittorrentPort: number
  readonly httpPort: number
}

export interface Plan {
  readonly dir: string
  readonly coordinator: PlannedNode
  readonly nodes: readonly PlannedNode[]
  readonly federationDir: string
  readonly publishDir: string
}

/** Volunteers' names, in order; more nodes are numbered. */
const OPERATORS = ['aminata', 'bjarni', 'chaska', 'dilnoza', 'eleni', 'farid', 'gulnara', 'hone']

export async function makePlan(dir: string, nodeCount: number): Promise<Plan> {
  const ports = await freePorts(3 * (nodeCount + 1))
  const take = () => ports.shift() ?? 0
  const planned = (name: string, operator: string): PlannedNode => ({
    name,
    operator,
    dataDir: join(dir, name),
    libp2pPort: take(),
    bittorrentPort: take(),
    httpPort: take(),
  })
  return {
    dir,
    coordinator: planned('coordinator', 'coordinator'),
    nodes: Array.from({ length: nodeCount }, (_, index) =>
      planned(`node-${index + 1}`, OPERATORS[index] ?? `volunteer-${index + 1}`),
    ),
    federationDir: join(dir, 'federation'),
    publishDir: join(dir, 'published'),
  }
}

/**
 * Ports that nobody listens on now. They are fixed for the demo, so that a process that is started again is found again; and they
 * lie below those that systems give to outgoing connections, one of which would take a port while its process is away.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > 100 * count) throw new Error(`fewer than ${count} free ports on 127.0.0.1`)
    const port = randomInt(PORT_MIN, EPHEMERAL_PORT_MIN)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}
const PORT_MIN = 10_240
/** Linux's `net.ipv4.ip_local_port_range` begins here, those of other systems above (RFC 6335: at 49152). */
const EPHEMERAL_PORT_MIN = 32_768

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export const multiaddrOf = (node: PlannedNode): string => `/ip4/127.0.0.1/tcp/${node.libp2pPort}`
