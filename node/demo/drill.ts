/**
 * The fire drill: a whole federation archives real dumps; then Wikimedia, the Internet Archive, the coordinator and one volunteer are
 * gone for good. A person who has nothing but the root document and a copy of the published folder gets every wiki back from the
 * volunteers that are left, by the same commands as everybody, and what came is held to the original bytes.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { cp, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { list, record } from '../../protocol/codec/shape.ts'
import { readMergedManifest } from '../../protocol/manifest/merged-manifest.ts'
import { emptyFolder, FIXTURES, runsOf, startFederation } from './federation.ts'
import { makePlan, type Plan } from './plan.ts'
import { summarize } from './summary.ts'
import { Supervisor } from './supervisor.ts'
import { Watch } from './watch.ts'
import { startWorld, type World } from './world.ts'

export interface DrillOptions {
  readonly nodes: number
  /** Folder of dumps, laid out `<wiki>/<date>/<file>`; null = those of the repository. */
  readonly dumps: string | null
  readonly dir: string
  readonly timeoutMs: number
  readonly say: (line: string) => void
}

export interface DrillReport {
  /** Everything came back, byte for byte, from volunteers. */
  readonly ok: boolean
  readonly wikis: number
  readonly files: number
  readonly bytes: number
  /** Of these wikis there were pages, README and script for MediaWiki were written. */
  readonly restored: number
  /** Until the fire, and from the fire until everything was back. */
  readonly archivedSeconds: number
  readonly restoredSeconds: number
  /** What is gone. */
  readonly lost: readonly string[]
  /** One sentence for everything that is not as it should be. */
  readonly problems: readonly string[]
}

const WIKISEED = fileURLToPath(new URL('../wikiseed.js', import.meta.url))
const LOOK_MS = 500
const REPLICAS = 3
/** Of peers that the manifest names some are gone. */
const PATIENCE = '20s'

/** Rejects with an Error of one sentence when the drill cannot be held. */
export async function runDrill(options: DrillOptions): Promise<DrillReport> {
  const dir = resolve(options.dir)
  const dumps = resolve(options.dumps ?? FIXTURES)
  const { say } = options
  await emptyFolder(dir)
  const dead = Promise.withResolvers<never>()
  dead.promise.catch(() => {})
  const supervisor = new Supervisor({ onDeath: () => {}, onFatal: (error) => dead.reject(error) })
  let world: World | null = null
  try {
    const plan = await makePlan(dir, options.nodes)
    const logs = { logFile: join(dir, 'world-access.jsonl'), errorLog: join(dir, 'world.log') }
    world = await startWorld({ dumps, stateDir: join(dir, 'world'), ...logs, args: [] })
    const beganAtMs = performance.now()
    await startFederation(plan, world, supervisor, { dumps, originFallback: true, nodeArgs: [] })
    say(`${options.nodes} volunteers and a coordinator archive the dumps in ${dumps}`)
    await Promise.race([untilSafe(plan, world, dumps, options), dead.promise])
    const person = join(dir, 'person')
    await cp(plan.publishDir, join(person, 'published'), { recursive: true })
    await cp(join(plan.federationDir, '1.root.json'), join(person, '1.root.json'))
    const burntAtMs = performance.now()
    say(`Everything is safe after ${seconds(burntAtMs - beganAtMs)} s. Now the fire.`)
    const lost = await burn(plan, world, supervisor)
    world = null
    say(`Gone: ${lost.join(', ')}. A new person restores everything from the volunteers that are left.`)
    const back = await restoreAll(person, dumps, say)
    const restoredSeconds = seconds(performance.now() - burntAtMs)
    const archivedSeconds = seconds(burntAtMs - beganAtMs)
    return { ok: back.problems.length === 0, ...back, archivedSeconds, restoredSeconds, lost }
  } finally {
    await supervisor.stop()
    await world?.stop()
  }
}

/** Everything is safe, archived and published, with a volunteer named as peer of each dump. */
async function untilSafe(plan: Plan, world: World, dumps: string, options: DrillOptions): Promise<void> {
  const eyes = new Watch(plan, world.addresses.wikimedia)
  const expected = { runs: await runsOf(dumps), replicas: Math.min(REPLICAS, options.nodes) }
  const endsAtMs = performance.now() + options.timeoutMs
  for (;;) {
    const { missing } = summarize(await eyes.look(), expected, 0)
    const problems = missing.length > 0 ? missing : await withoutVolunteers(plan)
    if (problems.length === 0) return
    if (performance.now() > endsAtMs)
      throw new Error(`not within ${options.timeoutMs / 1_000} s: ${problems.slice(0, 3).join('; ')}`)
    await new Promise((done) => setTimeout(done, LOOK_MS))
  }
}

/** The volunteer that burns is the first one, so another one must be named. */
async function withoutVolunteers(plan: Plan): Promise<string[]> {
  const bytes = await readFile(join(plan.publishDir, 'manifest.json'))
  const ports = new Set(plan.nodes.slice(1).map((node) => node.bittorrentPort))
  return readMergedManifest(bytes)
    .shards.filter(({ peers = [] }) => !peers.some(([, port]) => ports.has(port)))
    .map(({ id }) => `the manifest names no volunteer for ${id}`)
}

async function burn(plan: Plan, world: World, supervisor: Supervisor): Promise<string[]> {
  await world.stop()
  const [first] = plan.nodes
  const members = [plan.coordinator, ...(plan.nodes.length > 1 && first !== undefined ? [first] : [])]
  for (const member of members) await supervisor.lose(member.name)
  return [
    'Wikimedia',
    'the Internet Archive',
    ...members.map((member) => `${member.name} (${member.operator})`),
  ]
}

type Back = Pick<DrillReport, 'wikis' | 'files' | 'bytes' | 'restored' | 'problems'>

async function restoreAll(person: string, dumps: string, say: (line: string) => void): Promise<Back> {
  const back = { wikis: 0, files: 0, bytes: 0, restored: 0, problems: [] as string[] }
  for (const run of await runsOf(dumps)) {
    const [wiki = '', date = ''] = run.split('/')
    const to = join(person, 'wikis', wiki)
    const names = await readdir(join(dumps, wiki, date))
    const command = names.some((name) => /-pages-[a-z-]+\d*\.xml.*\.(?:bz2|7z)$/.test(name))
      ? 'restore'
      : 'get'
    await mkdir(to, { recursive: true })
    // The whole run first: a restore alone leaves out what it does not need.
    for (const each of command === 'restore' ? ['restore', 'get'] : ['get']) {
      const problem = await asPerson(person, [each, `${wiki}@${date}`, '--to', to])
      if (problem !== null) back.problems.push(`${each} ${wiki}: ${problem}`)
    }
    back.wikis++
    if (command === 'restore') back.restored++
    for (const name of names) {
      const original = join(dumps, wiki, date, name)
      const same = await sameFile(original, join(to, wiki, date, name))
      back.files++
      back.bytes += (await stat(original)).size
      if (!same) back.problems.push(`${run}/${name} did not come back byte for byte`)
    }
    say(
      `${run}: ${names.length} files are back${command === 'restore' ? ', with the steps for MediaWiki' : ''}`,
    )
  }
  return back
}

/** One command as a person types it, whose home is empty. What went wrong, or null; every byte must come from the swarm. */
async function asPerson(person: string, args: readonly string[]): Promise<string | null> {
  const flags = [
    '--manifest',
    join(person, 'published'),
    '--root',
    join(person, '1.root.json'),
    '--patience',
    PATIENCE,
    // Nobody outside of this machine has them.
    '--no-dht',
    '--tracker',
    'none',
  ]
  const child = spawn(process.execPath, [WIKISEED, ...args, ...flags, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', HOME: join(person, 'home') },
  })
  let out = ''
  let errors = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data
  })
  child.stderr.on('data', (data: Buffer) => {
    errors = `${errors}${data}`.slice(-4_096)
  })
  const code = await new Promise<number | null>((done, reject) => {
    child.once('error', reject)
    child.once('close', done)
  })
  if (code !== 0) return errors.trim() || `exit code ${code}`
  const files = list(record(JSON.parse(out), 'report').files, 'report.files', 10_000, (one, at) =>
    record(one, at),
  )
  const strange = files.find((one) => one.state !== 'here' && one.from !== 'swarm')
  return strange === undefined ? null : `${String(strange.path)} is ${String(strange.from ?? strange.state)}`
}

async function sameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([sha256Of(a), sha256Of(b).catch(() => null)])
  return first === second
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10
