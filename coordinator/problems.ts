/** What a coordinator's operator should know, in the form of the status page. */
import type { Problem } from '../node/observe/status.ts'
import type { RunProblem } from '../node/upstream/run-problem.ts'
import { parseShardKey } from '../protocol/ids.ts'
import type { MirrorProbes } from './mirror-probes.ts'
import type { PreserveLoop } from './preserve-loop.ts'
import type { PublishLoop } from './publish-loop.ts'

export function coordinatorProblems(now: {
  discoverProblem: string | null
  runProblems: readonly RunProblem[]
  preserve: PreserveLoop | null
  publish: PublishLoop
  silentMirrors: ReturnType<MirrorProbes['silent']>
  nowMs: number
}): Problem[] {
  const open = (code: string, detail: string, atMs: number, shard: Problem['shard'] = null): Problem => ({
    shard,
    code,
    detail,
    files: [],
    atMs,
    resolvedAtMs: null,
  })
  const problems: Problem[] = []
  if (now.discoverProblem !== null) problems.push(open('upstream-unreadable', now.discoverProblem, now.nowMs))
  for (const { code, detail, atMs } of gathered(now.runProblems)) problems.push(open(code, detail, atMs))
  for (const [key, { code, detail, atMs }] of now.preserve?.problems ?? []) {
    problems.push(open(`archive-${code}`, detail, atMs, parseShardKey(key).id))
  }
  for (const { name, problem } of now.publish.targets()) {
    if (problem !== null) problems.push(open('publish-failed', `${name}: ${problem}`, now.nowMs))
  }
  for (const { mirror, detail } of now.silentMirrors) {
    problems.push(open('mirror-silent', `${mirror}: ${detail}`, now.nowMs))
  }
  return problems
}

/** While upstream makes its runs, hundreds are in progress at once: one line says so, and what is wrong stays in sight. */
const ONE_BY_ONE_MAX = 10
const EXPECTED: ReadonlySet<string> = new Set(['in-progress', 'not-settled-yet'])
const NAMES_SHOWN = 5

function gathered(all: readonly RunProblem[]): { code: string; detail: string; atMs: number }[] {
  const groups = new Map<string, RunProblem[]>()
  for (const one of all) {
    const alone = EXPECTED.has(one.code) ? '' : ` ${runOf(one)}`
    const group = `${one.code} ${one.dataset}${alone}`
    groups.set(group, [...(groups.get(group) ?? []), one])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined || group.length <= ONE_BY_ONE_MAX) {
      return group.map((one) => ({ ...one, detail: `${runOf(one)}: ${one.detail}` }))
    }
    const names = group.slice(0, NAMES_SHOWN).map(runOf).join(', ')
    const detail = `${group.length} runs, such as ${names}: ${first.detail}`
    return [{ code: first.code, detail, atMs: Math.max(...group.map((one) => one.atMs)) }]
  })
}

function runOf({ dataset, wiki, date }: RunProblem): string {
  return [dataset, wiki, date].filter((part) => part !== '').join('/')
}
