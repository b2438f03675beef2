/** What a node's status says of the program that seeds: whether it answers, and what it lost. Pure. */
import type { EngineAbout, TorrentStats } from '../ports.ts'
import type { Problem } from './status.ts'

/** Torrents that are counted by name in one problem. */
const SHOWN_MAX = 3

export function engineProblem({
  engine,
  torrents,
  nowMs,
}: {
  readonly engine: EngineAbout
  readonly torrents: readonly Pick<TorrentStats, 'state' | 'failure'>[]
  readonly nowMs: number
}): Problem[] {
  const problem = (code: string, detail: string): Problem[] => [
    { shard: null, code, detail, files: [], atMs: nowMs, resolvedAtMs: null },
  ]
  const silent =
    engine.problem === null ? [] : problem('engine-silent', silenceOf(engine.name, engine.problem))
  const failed = torrents.flatMap(({ state, failure }) => (state === 'failed' && failure ? [failure] : []))
  if (failed.length === 0) return silent
  const reasons = [...new Set(failed.map((one) => one.detail))].slice(0, SHOWN_MAX).join('; ')
  const count = failed.length === 1 ? 'A shard is' : `${failed.length} shards are`
  return [...silent, ...problem('not-seeded', `${count} held but not seeded: ${reasons}.`)]
}

function silenceOf(name: string, why: string): string {
  return name === 'own'
    ? `The BitTorrent engine does not run now: ${why}. It is started again by itself; until then nothing is seeded or fetched.`
    : `${name} cannot be asked: ${why}. What it seeds now is not known.`
}
