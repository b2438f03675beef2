/**
 * `wikiseed demo`: a whole federation on one machine, every member an operating-system process of its own, archiving real
 * dumps from a miniature outside world until everything is safe. This process only starts, watches and shows.
 */
import { join, resolve } from 'node:path'
import { writeFileAtomic } from '../files/durable.ts'
import type { HostIdentity } from '../net/identity.ts'
import { emptyFolder, FIXTURES, MARKER, runsOf, startFederation } from './federation.ts'
import { makePlan, type Plan } from './plan.ts'
import { Screen } from './screen.ts'
import { type Summary, summarize } from './summary.ts'
import { Supervisor } from './supervisor.ts'
import { type Picture, urlOf, Watch } from './watch.ts'
import { startWorld, type World } from './world.ts'

export interface DemoOptions {
  readonly nodes: number
  /** Folder of dumps, laid out `<wiki>/<date>/<file>`; null = those of the repository. */
  readonly dumps: string | null
  readonly dir: string
  /** End when everything is safe (exit code 0) or at the timeout (1). */
  readonly exit: boolean
  readonly timeoutMs: number
  /** One summary object as the last line, no live view. */
  readonly json: boolean
  readonly originFallback: boolean
  /** Further flags of every node, for example a limit. */
  readonly nodeArgs: readonly string[]
  /** Flags of the miniature world, for example its faults. */
  readonly worldArgs: readonly string[]
}

const LOOK_MS = 500
/** R of the demo's federation. */
const REPLICAS = 3

/** Resolves with the exit code. Rejects with an Error of one sentence when the demo cannot start. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const dir = resolve(options.dir)
  const dumps = resolve(options.dumps ?? FIXTURES)
  await emptyFolder(dir)
  const stopped = Promise.withResolvers<'signal' | Error>()
  const screen = new Screen({ json: options.json })
  const supervisor = new Supervisor({
    onDeath: (name, how) => screen.news(`${name} ended by ${how}; it is started again`),
    onFatal: (error) => stopped.resolve(error),
  })
  const onSignal = () => {
    supervisor.expectEnds()
    stopped.resolve('signal')
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  let world: World | null = null
  try {
    const plan = await makePlan(dir, options.nodes)
    world = await startWorld({
      dumps,
      stateDir: join(dir, 'world'),
      logFile: join(dir, 'world-access.jsonl'),
      errorLog: join(dir, 'world.log'),
      args: options.worldArgs,
    })
    const startedAtMs = performance.now()
    const identities = await startFederation(plan, world, supervisor, { ...options, dumps })
    await writeDemoFile(plan, world, dumps, supervisor, identities)
    const expected = { runs: await runsOf(dumps), replicas: Math.min(REPLICAS, options.nodes) }
    const summary = await watch(new Watch(plan, world.addresses.wikimedia), {
      screen,
      exit: options.exit,
      stopped: stopped.promise,
      onLook: () => writeDemoFile(plan, world as World, dumps, supervisor, identities),
      summarize: (picture) => summarize(picture, expected, (performance.now() - startedAtMs) / 1000),
      timeoutMs: options.timeoutMs,
    })
    screen.end(summary, options.exit)
    const cause = await Promise.race([stopped.promise, Promise.resolve(null)])
    if (cause instanceof Error) throw cause
    return summary.safe || (cause === 'signal' && !options.exit) ? 0 : 1
  } finally {
    await supervisor.stop()
    await world?.stop()
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

interface WatchOptions {
  readonly screen: Screen
  readonly exit: boolean
  readonly stopped: Promise<'signal' | Error>
  readonly onLook: () => Promise<void>
  readonly summarize: (picture: Picture) => Summary
  readonly timeoutMs: number
}

/** Looks and shows until the end; resolves with the last summary. */
async function watch(eyes: Watch, options: WatchOptions): Promise<Summary> {
  const endsAtMs = performance.now() + options.timeoutMs
  for (;;) {
    const picture = await eyes.look()
    const summary = options.summarize(picture)
    await options.onLook()
    options.screen.show(picture, summary)
    if (options.exit && (summary.safe || performance.now() >= endsAtMs)) return summary
    const pause = new Promise<null>((done) => setTimeout(done, LOOK_MS, null))
    if ((await Promise.race([options.stopped, pause])) !== null) return summary
  }
}

/** Facts for other programs: where everything is, and the ids of the processes. */
async function writeDemoFile(
  plan: Plan,
  world: World,
  dumps: string,
  supervisor: Supervisor,
  identities: ReadonlyMap<string, HostIdentity>,
): Promise<void> {
  const running = new Map(supervisor.list().map((one) => [one.name, one]))
  const facts = (member: Plan['coordinator']) => ({
    name: member.name,
    operator: member.operator,
    peerId: identities.get(member.name)?.nodeId ?? null,
    dataDir: member.dataDir,
    httpUrl: urlOf(member),
    bittorrentPort: member.bittorrentPort,
    pid: running.get(member.name)?.pid ?? null,
    restarts: running.get(member.name)?.restarts ?? 0,
  })
  const { addresses, pid } = world
  const value = {
    pid: process.pid,
    world: {
      url: addresses.wikimedia,
      wikimedia: addresses.wikimedia,
      archive: addresses.archive,
      stateDir: addresses.state,
      logFile: join(plan.dir, 'world-access.jsonl'),
      dumps,
      pid,
    },
    coordinator: facts(plan.coordinator),
    nodes: plan.nodes.map(facts),
    published: { localDir: plan.publishDir },
    root: join(plan.federationDir, '1.root.json'),
  }
  await writeFileAtomic(join(plan.dir, MARKER), Buffer.from(`${JSON.stringify(value, null, 2)}\n`))
}
