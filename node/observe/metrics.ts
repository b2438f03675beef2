/**
 * Prometheus metrics, made from the status snapshot when they are asked for, so that page and metrics never disagree. The
 * only file that names prom-client. Nothing global: each instance has its own registry.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { NodeStatus } from './status.ts'

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Family {
  /** `wikiseed_` is put before it. Units last; `_total` only for what never falls while the process runs. */
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter'
  readonly labels?: readonly string[]
  samples(status: NodeStatus): Sample[]
}

const one = (value: number): Sample[] => [{ labels: {}, value }]

const FAMILIES: readonly Family[] = [
  {
    name: 'info',
    help: 'Version and role of this process; always 1.',
    type: 'gauge',
    labels: ['version', 'role', 'node'],
    samples: ({ version, role, node }) => [{ labels: { version, role, node }, value: 1 }],
  },
  {
    name: 'start_time_seconds',
    help: 'When this process started, unix time.',
    type: 'gauge',
    samples: ({ startedAtMs }) => one(startedAtMs / 1_000),
  },
  {
    name: 'shards',
    help: 'Shards of the trusted catalogs: all of them, and of these the safe, archived and published ones.',
    type: 'gauge',
    labels: ['state'],
    samples: ({ counts: { shards, safe, archived, published } }) =>
      byLabel('state', { known: shards, safe, archived, published }),
  },
  {
    name: 'observed_shards',
    help: 'Shards that nodes observed and no catalog of a coordinator names.',
    type: 'gauge',
    samples: ({ catalog }) => one(catalog.observed),
  },
  {
    name: 'catalog_read_time_seconds',
    help: 'When a coordinator last read upstream as far as this node heard, unix time; 0 when it heard of none.',
    type: 'gauge',
    samples: ({ catalog }) => one((catalog.readAtMs ?? 0) / 1_000),
  },
  {
    name: 'own_shards',
    help: 'Shards of this node: claimed, being fetched, held, and held with a proof by somebody else.',
    type: 'gauge',
    labels: ['state'],
    samples: ({ counts: { claimed, fetching, held, audited } }) =>
      byLabel('state', { claimed, fetching, held, audited }),
  },
  {
    name: 'audits',
    help: "Latest audits of others' replicas by this node.",
    type: 'gauge',
    labels: ['outcome'],
    samples: ({ counts: { audits } }) => byLabel('outcome', audits),
  },
  {
    name: 'capacity_bytes',
    help: 'Bytes that this node may fill, and bytes that its shards take or will take.',
    type: 'gauge',
    labels: ['state'],
    samples: ({ capacity: { bytesTotal, bytesUsed } }) =>
      byLabel('state', { total: bytesTotal, used: bytesUsed }),
  },
  {
    name: 'origin_bytes_total',
    help: 'Body bytes received from Wikimedia since the start.',
    type: 'counter',
    samples: ({ traffic }) => one(traffic.originBytes),
  },
  {
    name: 'elsewhere_bytes_total',
    help: 'Bytes of dump files from mirrors and the Internet Archive since the start.',
    type: 'counter',
    samples: ({ traffic }) => one(traffic.elsewhereBytes),
  },
  {
    name: 'month_bytes',
    help: 'Bytes fetched this calendar month, from wherever; after a crash a little more than really were.',
    type: 'gauge',
    samples: ({ pace }) => one(pace.monthUsedBytes),
  },
  {
    name: 'swarm_bytes',
    help: 'BitTorrent payload: received for all that is held or on its way, sent since each torrent was started.',
    type: 'gauge',
    labels: ['direction'],
    samples: ({ traffic }) =>
      byLabel('direction', { down: traffic.swarmDownBytes, up: traffic.swarmUpBytes }),
  },
  {
    name: 'peers',
    help: 'Connected peers.',
    type: 'gauge',
    samples: ({ peers }) => one(peers),
  },
  {
    name: 'nodes',
    help: 'Known nodes by standing.',
    type: 'gauge',
    labels: ['standing'],
    samples: ({ nodes }) => {
      const standings = { live: 0, resting: 0, absent: 0, gone: 0 }
      for (const { standing } of nodes) standings[standing]++
      return byLabel('standing', standings)
    },
  },
  {
    name: 'reachable',
    help: '1 when another node could dial this one.',
    type: 'gauge',
    samples: ({ reachable }) => one(reachable ? 1 : 0),
  },
  {
    name: 'port_reached_peers',
    help: 'Peers that reached a port of this node when they last tried, and that did not.',
    type: 'gauge',
    labels: ['port', 'family', 'outcome'],
    samples: ({ ports }) =>
      ports.flatMap(({ name, ipv4, ipv6 }) =>
        Object.entries({ ipv4, ipv6 }).flatMap(([family, { reachedBy, missedBy }]) =>
          Object.entries({ reached: reachedBy, missed: missedBy }).map(([outcome, value]) => ({
            labels: { port: name, family, outcome },
            value,
          })),
        ),
      ),
  },
  {
    name: 'ports_forwarded',
    help: 'Ports that the home router forwards, of those it was asked for; absent when it was not asked.',
    type: 'gauge',
    labels: ['state'],
    samples: ({ ports }) => {
      const asked = ports.flatMap(({ forwarding }) => forwarding ?? [])
      const forwarded = asked.filter(({ by, error }) => by !== null && error === null).length
      return asked.length === 0 ? [] : byLabel('state', { forwarded, wanting: asked.length - forwarded })
    },
  },
  {
    name: 'problems',
    help: 'Problems that are not mended yet, by code.',
    type: 'gauge',
    labels: ['code'],
    samples: ({ problems }) => {
      const open: Record<string, number> = {}
      for (const { code, resolvedAtMs } of problems)
        if (resolvedAtMs === null) open[code] = (open[code] ?? 0) + 1
      return byLabel('code', open)
    },
  },
]

export function createMetrics(status: () => NodeStatus | Promise<NodeStatus>): Metrics {
  const registry = new Registry()
  const families = FAMILIES.map((family) => {
    const { name, help, type, labels = [] } = family
    const settings = { name: `wikiseed_${name}`, help, labelNames: [...labels], registers: [registry] }
    return { family, metric: type === 'gauge' ? new Gauge(settings) : new Counter(settings) }
  })
  return {
    contentType: registry.contentType,
    async text() {
      const now = await status()
      for (const { family, metric } of families) {
        metric.reset()
        for (const { labels, value } of family.samples(now)) metric.inc(labels, value)
      }
      return registry.metrics()
    },
  }
}

function byLabel(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}
