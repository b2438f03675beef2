/** A volunteer's node: a member of the federation, and its status page. */
import type { NodeConfig } from './config.ts'
import { startHttp } from './http/server.ts'
import { startMember } from './member.ts'
import { receiptsStatus } from './observe/receipts-status.ts'
import { nodeStatus, shardStatuses } from './observe/status.ts'
import { AGENT } from './version.ts'

export interface RunningNode {
  readonly httpUrl: string
  /** Resolves when a node that leaves has handed everything over; never for others. */
  readonly left: Promise<void>
  /** Never resolves; rejects with the error that stopped the node. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

export async function startNode(config: NodeConfig): Promise<RunningNode> {
  const { operator, languages, projects, bytesTotal, claimsMax, fetchesMax, originFallback } = config
  const member = await startMember(config, {
    role: 'volunteer',
    agent: AGENT,
    operator,
    languages,
    projects,
    bytesTotal,
    claimsMax,
    fetchesMax,
    originFallback,
  })
  try {
    const http = await startHttp({
      ...config.http,
      status: async () => nodeStatus(member.state, await member.statusExtra()),
      shards: () =>
        shardStatuses(member.state, member.base.clock.wallMs(), {
          structureOf: (shard) => member.findings.of(shard),
        }),
      receipts: () => receiptsStatus(member.receipts),
    })
    member.base.log.info({ http: http.url }, 'the status page is up')
    const left = config.leave ? member.leave() : new Promise<void>(() => {})
    return {
      httpUrl: http.url,
      failed: member.failed,
      left,
      stop: async () => {
        await http.close()
        await member.stop()
      },
    }
  } catch (error) {
    await member.stop()
    throw error
  }
}
