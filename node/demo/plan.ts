/** Who takes part in the demo, where, and how each process is started. Nothing here is known to the processes themselves. */
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

/** Ports that nobody listens on now. They are fixed for the demo, so that a process that is started again is found again. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', () => resolve(server))
      })
    }),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

export const multiaddrOf = (node: PlannedNode): string => `/ip4/127.0.0.1/tcp/${node.libp2pPort}`
