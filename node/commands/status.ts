import type { NodeStatus } from '../observe/status.ts'
import type { DiscoveryStats } from '../ports.ts'
import { readSettings, webAddress, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { portWords } from './port-words.ts'
import { UserError } from './user-error.ts'
import { bytesText, spanText } from './words.ts'

const settings = {
  url: {
    value: '<url>',
    help: 'where the node answers',
    kind: webAddress,
    default: 'http://127.0.0.1:8080/',
  },
  json: { value: null, help: 'print the answer as it is', kind: yesNo, default: false },
}

const TIMEOUT_MS = 10_000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const PROBLEMS_SHOWN = 10

export const status: Command = {
  name: 'status',
  summary: 'ask a running node or coordinator how it is',
  settings,
  examples: ['wikiseed status', 'wikiseed status --url http://127.0.0.1:8081/ --json'],
  async run({ flags }, terminal) {
    const { url, json } = readSettings(settings, { flags, env: {}, file: null })
    const text = await ask(new URL('api/v1/status', url))
    const found = parse(text, url)
    if (json) terminal.out(text)
    else for (const line of describe(found)) terminal.out(line)
    return 0
  },
}

async function ask(url: URL): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
    const text = await boundedText(answer)
    if (!answer.ok) throw new UserError(`${url.origin} answered ${answer.status}; is that a WikiSeed node?`)
    return text
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`nothing answers at ${url.origin}; is the node running?`, { cause: error })
  }
}

async function boundedText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of answer.body ?? []) {
    sizeBytes += chunk.length
    if (sizeBytes > ANSWER_BYTES_MAX) throw new UserError('the answer is too long for a status')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string, url: string): NodeStatus {
  try {
    const value: unknown = JSON.parse(text)
    // Written by this same program; these three say that it is one.
    const keys = ['counts', 'traffic', 'capacity']
    if (typeof value === 'object' && value !== null && keys.every((key) => key in value))
      return value as NodeStatus
  } catch {
    // Said below.
  }
  throw new UserError(`${url} answers, but not as a WikiSeed node`)
}

/** Exported for tests. */
export function describe(now: NodeStatus): string[] {
  const { counts, capacity, traffic } = now
  const { catalog } = now
  const { discovery } = now.bittorrent
  const open = now.problems.filter((problem) => problem.resolvedAtMs === null)
  // Coordinators tell nodes what is archived; what is published only they know.
  const kept = (['archived', 'published'] as const)
    .filter((what) => counts[what] > 0)
    .map((what) => `, ${counts[what]} ${what}`)
    .join('')
  return [
    `${now.role} ${now.node}${now.operator === '' ? '' : ` of ${now.operator}`}, version ${now.version}, up ${spanText(now.nowMs - now.startedAtMs)}`,
    `federation  ${counts.safe} of ${counts.shards} dumps safe${kept}; ${counts.nodesLive} nodes live, ${now.peers} connected`,
    ...(catalog.source === 'observed'
      ? [
          `catalog     observed: no coordinator has read Wikimedia for ${spanText(now.nowMs - (catalog.readAtMs ?? 0))}; nodes do it, ${catalog.observed} dumps are known by them only`,
        ]
      : []),
    `here        ${counts.held} held (${counts.audited} proven by others), ${counts.claimed} claimed; ${bytesText(capacity.bytesUsed)} of ${bytesText(capacity.bytesTotal)}`,
    `traffic     ${bytesText(traffic.originBytes)} from Wikimedia, ${bytesText(traffic.elsewhereBytes)} from mirrors and the Archive, ${bytesText(traffic.swarmDownBytes)} from the swarm, ${bytesText(traffic.swarmUpBytes)} given`,
    ...(counts.flawed > 0
      ? [`incomplete  ${counts.flawed} of these dumps are of runs with jobs that failed at Wikimedia`]
      : []),
    ...paceLines(now.pace),
    `reachable   ${now.reachable ? 'yes' : 'no: nobody dialled back yet'}`,
    `discovery   ${discoveryText('DHT', discovery.dht, now.nowMs)}; ${discoveryText('DHT over IPv6', discovery.dht6, now.nowMs)}; ${discoveryText('local network', discovery.lsd, now.nowMs)}`,
    ...now.ports.map((one) => `port        ${portWords(one, now.nowMs)}`),
    ...now.fetches.map(
      (one) =>
        `fetching    ${one.shard} from ${one.from}, ${Math.floor((one.doneBytes * 100) / Math.max(1, one.sizeBytes))} %`,
    ),
    ...open
      .slice(0, PROBLEMS_SHOWN)
      .map((one) => `problem     ${one.shard ?? ''} ${one.code}: ${one.detail}`),
    ...(open.length > PROBLEMS_SHOWN
      ? [`            and ${open.length - PROBLEMS_SHOWN} more problems`]
      : []),
  ]
}

function discoveryText(name: string, { off, nodes, announcedAtMs }: DiscoveryStats, nowMs: number): string {
  if (off !== null) return `${name} off: ${off}`
  const known = nodes === 0 ? '' : ` ${nodes} nodes,`
  return `${name}${known} ${announcedAtMs === null ? 'nothing announced yet' : `announced ${spanText(nowMs - announcedAtMs)} ago`}`
}

/** Nothing when the volunteer set no limit and nothing waits. */
function paceLines(pace: NodeStatus['pace']): string[] {
  const { pausedBy, pausedFetches, webLimitBytesPerSecond, quietHours, monthUsedBytes, monthlyBudgetBytes } =
    pace
  const parts = [
    ...(webLimitBytesPerSecond === null
      ? []
      : [`at most ${bytesText(webLimitBytesPerSecond)} a second over HTTP`]),
    ...(quietHours.length === 0 ? [] : [`quiet ${quietHours.join(', ')}`]),
    ...(monthlyBudgetBytes === null
      ? []
      : [`${bytesText(monthUsedBytes)} of ${bytesText(monthlyBudgetBytes)} this month`]),
    ...(pausedBy === null ? [] : [`${pausedFetches} fetches paused (${pausedBy})`]),
  ]
  return parts.length === 0 ? [] : [`pace        ${parts.join('; ')}`]
}
