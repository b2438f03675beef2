/** What a coordinator's operator should know, in the form of the status page. */
import type { Problem } from '../node/observe/status.ts'
import type { RunProblem } from '../node/upstream/discover.ts'
import { parseShardKey } from '../protocol/ids.ts'
import type { PreserveLoop } from './preserve-loop.ts'
import type { PublishLoop } from './publish-loop.ts'

export function coordinatorProblems(now: {
  discoverProblem: string | null
  runProblems: readonly RunProblem[]
  preserve: PreserveLoop | null
  publish: PublishLoop
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
  for (const { wiki, date, code, detail, atMs } of now.runProblems) {
    problems.push(open(code, `${wiki}/${date}: ${detail}`, atMs))
  }
  for (const [key, { code, detail, atMs }] of now.preserve?.problems ?? []) {
    problems.push(open(`archive-${code}`, detail, atMs, parseShardKey(key).id))
  }
  for (const { name, problem } of now.publish.targets()) {
    if (problem !== null) problems.push(open('publish-failed', `${name}: ${problem}`, now.nowMs))
  }
  return problems
}
