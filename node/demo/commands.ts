/** The command lines of the demo's members: the same commands that people type. */
import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeFileAtomic } from '../files/durable.ts'
import { DEMO_PARAMETERS } from './parameters.ts'
import { multiaddrOf, type Plan, type PlannedNode } from './plan.ts'
import type { WorldAddresses } from './world.ts'

export interface ProcessLine {
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

const WIKISEED = fileURLToPath(new URL('../wikiseed.js', import.meta.url))
const CONTACT = 'demo@example.org'
const CAPACITY = '2GB'

const parametersPath = (plan: Plan): string => join(plan.dir, 'parameters.json')
const rootPath = (plan: Plan): string => join(plan.federationDir, '1.root.json')

export async function federationFiles(plan: Plan): Promise<void> {
  await mkdir(plan.dir, { recursive: true })
  await writeFileAtomic(parametersPath(plan), Buffer.from(`${JSON.stringify(DEMO_PARAMETERS, null, 2)}\n`))
}

/** `wikiseed coordinator init`: keys and root document. */
export function initProcess(plan: Plan): ProcessLine {
  const { coordinator } = plan
  const args = ['coordinator', 'init', '--data', coordinator.dataDir, '--federation', plan.federationDir]
  args.push('--name', 'demo', '--operator', coordinator.operator, '--address', multiaddrOf(coordinator))
  return { args: [WIKISEED, ...args, '--parameters', parametersPath(plan)], env: {} }
}

export function coordinatorProcess(
  plan: Plan,
  nodeIds: ReadonlyMap<string, string>,
  world: WorldAddresses,
  options: { exports: boolean },
): ProcessLine {
  const { coordinator, nodes } = plan
  const args = [
    'coordinator',
    'start',
    ...memberFlags(coordinator, world),
    '--federation',
    plan.federationDir,
  ]
  args.push(
    '--publish',
    plan.publishDir,
    '--discover-every',
    '3s',
    '--preserve-every',
    '1s',
    '--publish-every',
    '2s',
    '--bundle-quiet',
    '5s',
  )
  args.push('--archive-s3', world.s3Archive, '--archive-poll', '500ms')
  args.push('--archive-slow-down', '500ms', '--r2-endpoint', world.r2, '--r2-bucket', world.r2Bucket)
  args.push('--gist-api', world.gist, ...(options.exports ? [] : ['--no-exports']))
  for (const node of nodes) args.push('--operator-node', `${node.operator}=${nodeIds.get(node.name) ?? ''}`)
  return {
    args: [WIKISEED, ...args],
    env: {
      WIKISEED_ARCHIVE_ACCESS_KEY: world.archiveAccessKey,
      WIKISEED_ARCHIVE_SECRET_KEY: world.archiveSecretKey,
      WIKISEED_R2_ACCESS_KEY_ID: world.r2AccessKeyId,
      WIKISEED_R2_SECRET_ACCESS_KEY: world.r2SecretAccessKey,
      WIKISEED_GIST_TOKEN: world.gistToken,
    },
  }
}

export function nodeProcess(
  plan: Plan,
  node: PlannedNode,
  world: WorldAddresses,
  options: { originFallback: boolean; nodeArgs: readonly string[] },
): ProcessLine {
  const args = ['start', ...memberFlags(node, world), '--root', rootPath(plan)]
  if (!options.originFallback) args.push('--no-origin-fallback')
  return { args: [WIKISEED, ...args, ...options.nodeArgs], env: {} }
}

function memberFlags(member: PlannedNode, world: WorldAddresses): string[] {
  return [
    ...['--data', member.dataDir, '--origin', world.wikimedia, '--contact', CONTACT],
    ...['--archive-site', world.archive],
    ...['--operator', member.operator, '--capacity', CAPACITY],
    ...['--listen', multiaddrOf(member), '--bittorrent-port', String(member.bittorrentPort)],
    ...['--http', `127.0.0.1:${member.httpPort}`],
    // Nothing of the demo leaves this machine, whatever the defaults become.
    ...['--tracker', 'none', '--no-dht', '--no-lsd'],
  ]
}

/** Runs a command to its end; rejects with its last words when it fails. */
export async function runOnce(line: ProcessLine): Promise<void> {
  const child = spawn(process.execPath, line.args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...line.env },
  })
  let errors = ''
  child.stderr.on('data', (data: Buffer) => {
    errors = `${errors}${data}`.slice(-4_096)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(errors.trim() || `${line.args.slice(1, 3).join(' ')} failed`)
}
