/** What a node of an integration test is told: loopback, silent, no upstream, and nothing besides. */
import type { NodeConfig } from '../../node/config.ts'

/** What a volunteer and a coordinator are told alike. */
export const QUIET_MEMBER = {
  originUrl: 'http://127.0.0.1:9/',
  mirrors: [],
  archiveSite: 'http://127.0.0.1:9/',
  fromArchive: false,
  webLimitBytesPerSecond: null,
  quietHours: [],
  monthlyBudgetBytes: null,
  contact: 'me@example.org',
  listen: ['/ip4/127.0.0.1/tcp/0'],
  announceHost: null,
  mapPorts: false,
  relay: true,
  bittorrent: { host: '127.0.0.1', port: 0 },
  engine: { kind: 'own' },
  http: { host: '127.0.0.1', port: 0, allowedHosts: [] },
  downloadLimitBytesPerSecond: null,
  uploadLimitBytesPerSecond: null,
  trackers: [],
  dht: null,
  lsd: false,
  rereadLimitBytesPerSecond: 8_000_000,
  fetchesMax: 4,
  logLevel: 'silent',
} as const

export const QUIET_NODE = {
  ...QUIET_MEMBER,
  operator: '',
  languages: [],
  projects: [],
  originFallback: true,
  leave: false,
  claimsMax: 4,
} as const satisfies Partial<NodeConfig>
