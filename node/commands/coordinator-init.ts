import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { COORDINATOR_SETTINGS } from '../../coordinator/config.ts'
import { createKeys } from '../../coordinator/federation/keys.ts'
import { createRoot } from '../../coordinator/federation/root.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { readRoot } from '../../protocol/manifest/root.ts'
import { DEFAULT_PARAMETERS, type Parameters, readParameters } from '../../protocol/parameters.ts'
import { operatorName } from '../config.ts'
import { multiaddr } from '../config-reach.ts'
import { verifyEd25519 } from '../net/signature.ts'
import { duration, list, orNull, readSettings, text, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { openIdentity } from './identity.ts'
import { UserError } from './user-error.ts'

const YEAR_MS = 365 * 86_400_000

const settings = {
  data: COORDINATOR_SETTINGS.data,
  federation: COORDINATOR_SETTINGS.federation,
  name: { value: '<name>', help: "the federation's name", kind: text() },
  operator: { ...COORDINATOR_SETTINGS.operator, kind: operatorName },
  address: {
    value: '<multiaddr>',
    help: 'where nodes can dial this coordinator; the peer id is added',
    kind: list(multiaddr, 16),
    repeat: true,
  },
  parameters: {
    value: '<file>',
    help: 'JSON of federation parameters that differ from the usual ones',
    kind: orNull(text()),
    default: null,
  },
  expires: {
    value: '<time>',
    help: 'life of the root document',
    kind: duration,
    default: YEAR_MS,
    defaultText: '365d',
  },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const coordinatorInit: Command = {
  name: 'coordinator init',
  summary: "found a federation: the coordinator's identity, the signing keys, the root document",
  settings,
  examples: [
    "wikiseed coordinator init --name 'Seeds of the library' --operator library --address /dns4/seed.example.org/tcp/4811",
  ],
  async run({ flags }, terminal) {
    const values = readSettings(settings, { flags, env: {}, file: null })
    const dataDir = resolve(values.data)
    const folder = resolve(values.federation ?? join(dataDir, 'federation'))
    const parameters = values.parameters === null ? DEFAULT_PARAMETERS : await readFileOf(values.parameters)
    const { nodeId } = await openIdentity(dataDir)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const keys = await createKeys(folder)
    const nowMs = Date.now()
    const root = createRoot({
      name: values.name,
      parameters,
      coordinators: [
        {
          nodeId,
          operator: values.operator,
          multiaddrs: values.address.map((one) => withPeerId(one, nodeId)),
        },
      ],
      nowMs,
      expiresAtMs: nowMs + values.expires,
      keys,
    })
    const path = join(folder, '1.root.json')
    await writeFile(path, root, { flag: 'wx' })
    const { federationId } = readRoot(root, verifyEd25519)
    if (values.json) {
      terminal.out(
        JSON.stringify({ federation: federationId, node: nodeId, root: path, keys: join(folder, 'keys') }),
      )
      return 0
    }
    terminal.out(`The federation ${JSON.stringify(values.name)} is founded.`)
    terminal.out(`  id           ${federationId}`)
    terminal.out(`  coordinator  ${nodeId}`)
    terminal.out(`  root         ${path}  (give this file to every node)`)
    terminal.out(`  keys         ${join(folder, 'keys')}  (secret: who has them is the federation)`)
    return 0
  },
}

/** Partial parameters over the usual ones. Throws UserError. */
async function readFileOf(path: string): Promise<Parameters> {
  try {
    const given: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof given !== 'object' || given === null)
      throw new UserError(`${path} is not a JSON object of parameters`)
    return readParameters({ ...DEFAULT_PARAMETERS, ...given }, 'parameters')
  } catch (error) {
    if (error instanceof UserError) throw error
    const reason = error instanceof Error ? error.message : 'unreadable'
    if (error instanceof ShapeError) throw new UserError(`${path}: ${reason}`, { cause: error })
    throw new UserError(`the parameters in ${path} cannot be read: ${reason}`, { cause: error })
  }
}

function withPeerId(address: string, nodeId: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${nodeId}`
}
