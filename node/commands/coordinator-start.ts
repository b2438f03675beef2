import { COORDINATOR_SETTINGS, readCoordinatorConfig } from '../../coordinator/config.ts'
import type { Command } from './command.ts'
import { runUntilStopped } from './run-until-stopped.ts'

export const coordinatorStart: Command = {
  name: 'coordinator start',
  summary: 'run a coordinator: catalogs, archive, publication',
  settings: COORDINATOR_SETTINGS,
  configurable: true,
  examples: [
    'wikiseed coordinator start --contact me@example.org --publish /srv/wikiseed',
    'WIKISEED_GIST_TOKEN_FILE=/run/secrets/gist wikiseed coordinator start --config coordinator.json',
  ],
  async run({ flags, env, config }, terminal) {
    const coordinatorConfig = readCoordinatorConfig({ flags, env, file: config })
    const { startCoordinator } = await import('../../coordinator/coordinator.ts')
    return runUntilStopped('The coordinator', () => startCoordinator(coordinatorConfig), terminal)
  },
}
