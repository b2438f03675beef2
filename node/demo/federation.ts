/** A federation in a folder of its own: its processes, and what they are to archive. Shared by the demo and the fire drill. */
import { existsSync } from 'node:fs'
import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createIdentity, type HostIdentity } from '../net/identity.ts'
import { coordinatorProcess, federationFiles, initProcess, nodeProcess, runOnce } from './commands.ts'
import type { Plan } from './plan.ts'
import type { Supervisor } from './supervisor.ts'
import type { World } from './world.ts'

/** The dumps of the repository. */
export const FIXTURES = fileURLToPath(new URL('../../test/fixtures/dumps', import.meta.url))
/** Written first, so that only a folder of our own is ever emptied. */
export const MARKER = 'demo.json'

/** Creates identities and the federation, then starts coordinator and nodes. */
export async function startFederation(
  plan: Plan,
  world: World,
  supervisor: Supervisor,
  options: {
    readonly dumps: string
    readonly originFallback: boolean
    readonly nodeArgs: readonly string[]
  },
): Promise<Map<string, HostIdentity>> {
  const identities = new Map<string, HostIdentity>()
  for (const member of [plan.coordinator, ...plan.nodes]) {
    await mkdir(member.dataDir, { recursive: true })
    identities.set(member.name, await createIdentity(member.dataDir))
  }
  const nodeIds = new Map([...identities].map(([name, identity]) => [name, identity.nodeId]))
  await federationFiles(plan)
  await runOnce(initProcess(plan))
  const log = (name: string) => ({ logPath: join(plan.dir, `${name}.log`) })
  const exports = existsSync(join(options.dumps, 'other'))
  const coordinator = coordinatorProcess(plan, nodeIds, world.addresses, { exports })
  supervisor.start('coordinator', coordinator.args, { ...log('coordinator'), env: coordinator.env })
  for (const node of plan.nodes) {
    const { args, env } = nodeProcess(plan, node, world.addresses, options)
    supervisor.start(node.name, args, { ...log(node.name), env })
  }
  return identities
}

/** Rejects with an Error of one sentence when the folder holds something that is not ours. */
export async function emptyFolder(dir: string): Promise<void> {
  const names = await readdir(dir).catch(() => null)
  if (names !== null && names.length > 0 && !names.includes(MARKER)) {
    throw new Error(`${dir} holds files that are not a demo's; choose another folder with --dir`)
  }
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, MARKER), '{}\n')
}

/** `wiki/date` of the newest run of every wiki in the folder: what index.json shows. */
export async function runsOf(dumps: string): Promise<string[]> {
  await access(dumps).catch(() => {
    throw new Error(`there is no folder of dumps at ${dumps}`)
  })
  const runs: string[] = []
  for (const wiki of (await readdir(dumps, { withFileTypes: true })).filter((one) => one.isDirectory())) {
    if (wiki.name === 'other') continue
    const dates = (await readdir(join(dumps, wiki.name))).filter((name) => /^\d{8}$/.test(name)).sort()
    const newest = dates.at(-1)
    if (newest !== undefined) runs.push(`${wiki.name}/${newest}`)
  }
  if (runs.length === 0)
    throw new Error(`${dumps} holds no runs; it should be laid out <wiki>/<YYYYMMDD>/<file>`)
  return runs
}
