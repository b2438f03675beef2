import { NODE_SETTINGS, readNodeConfig } from '../config.ts'
import type { Command } from './command.ts'
import { runUntilStopped } from './run-until-stopped.ts'

export const start: Command = {
  name: 'start',
  summary: 'run a volunteer node',
  settings: NODE_SETTINGS,
  configurable: true,
  examples: [
    'wikiseed start --root 1.root.json --contact me@example.org --capacity 50GB',
    'wikiseed start --config wikiseed.json --listen /ip4/0.0.0.0/tcp/4811 --bittorrent-host 0.0.0.0',
    'wikiseed start --config wikiseed.json --leave',
    'WIKISEED_ROOT=1.root.json WIKISEED_CONTACT=me@example.org wikiseed start',
  ],
  async run({ flags, env, config }, terminal) {
    const nodeConfig = readNodeConfig({ flags, env, file: config })
    const { startNode } = await import('../node.ts')
    return runUntilStopped('The node', () => startNode(nodeConfig), terminal)
  },
}
