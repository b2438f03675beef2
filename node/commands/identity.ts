import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { NODE_SETTINGS } from '../config.ts'
import type { HostIdentity } from '../net/identity.ts'
import { readSettings, yesNo } from '../settings.ts'
import type { Command } from './command.ts'

const settings = {
  data: NODE_SETTINGS.data,
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const identity: Command = {
  name: 'identity',
  summary: "print the peer id of a data folder; the first time, make the folder's key",
  settings,
  configurable: true,
  examples: ['wikiseed identity', 'wikiseed identity --data ./node-1 --json'],
  async run({ flags, env, config }, terminal) {
    const { data, json } = readSettings(settings, { flags, env, file: config })
    const folder = resolve(data)
    const { nodeId } = await openIdentity(folder)
    terminal.out(json ? JSON.stringify({ node: nodeId, data: folder }) : nodeId)
    return 0
  },
}

/** The identity of a data folder; the first time, makes folder and key. */
export async function openIdentity(folder: string): Promise<HostIdentity> {
  // Other commands do not load the network's libraries.
  const { createIdentity, loadIdentity } = await import('../net/identity.ts')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return (await loadIdentity(folder)) ?? (await createIdentity(folder))
}
