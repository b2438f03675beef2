/** A status as a node gives it, from cores that ran in virtual time. */
import { nodeStatus, type StatusExtra } from '../../node/observe/status.ts'
import type { FederationId } from '../../protocol/ids.ts'
import type { Cores, Machine } from './cores.ts'

export function extraOf(cores: Cores, more: Partial<StatusExtra> = {}): StatusExtra {
  return {
    version: '1.2.3',
    role: 'node',
    federation: 'ab'.repeat(32) as FederationId,
    startedAtMs: cores.now.wallMs - cores.nowMs,
    nowMs: cores.now.wallMs,
    peers: 3,
    addresses: ['/ip4/127.0.0.1/tcp/1'],
    ports: [],
    bittorrentPort: 6881,
    engine: { name: 'own', version: '0.1.0', problem: null },
    discovery: {
      dht: { off: null, port: 6_881, nodes: 142, announcedAtMs: null },
      dht6: { off: 'turned off', port: null, nodes: 0, announcedAtMs: null },
      lsd: { off: 'turned off', port: null, nodes: 0, announcedAtMs: null },
    },
    originBytes: 500,
    elsewhereBytes: 70,
    pace: {
      pausedBy: null,
      pausedFetches: 0,
      webLimitBytesPerSecond: null,
      quietHours: [],
      monthUsedBytes: 570,
      monthlyBudgetBytes: null,
    },
    badSources: [],
    torrents: [],
    ...more,
  }
}

export function statusOf(cores: Cores, machine: Machine, more: Partial<StatusExtra> = {}) {
  return nodeStatus(machine.state, extraOf(cores, more))
}
