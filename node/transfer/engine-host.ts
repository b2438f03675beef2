/**
 * The process of the BitTorrent engine (engine-process.ts starts it). It ends with the channel to its node, so that two never
 * write the same files; signals are its node's business.
 */
import { boundGarbage, ENGINE_GROWING_PERCENT } from '../memory.ts'
import { type Log, TorrentError, type TorrentReader } from '../ports.ts'
import type { EngineCalls, EngineProcessOptions, Job, NodeCalls } from './engine-calls.ts'
import { Channel, type Handlers, type Message, toPlain } from './engine-channel.ts'
import { WebTorrentEngine } from './torrent-engine.ts'

process.title = 'wikiseed engine'
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

let engine: WebTorrentEngine | null = null
/** By the node's number. */
const readers = new Map<number, TorrentReader>()

const answers: Handlers<EngineCalls> = {
  start: async (options) => {
    engine = await startEngine(options)
    boundGarbage(ENGINE_GROWING_PERCENT)
    return { port: engine.port }
  },
  seed: (seeds) =>
    Promise.all(
      seeds.map(async ({ infohash, sizeBytes, root }) => {
        const source = {
          infohash,
          sizeBytes,
          torrent: () => channel.call('torrent', { infohash }),
          changed: () => channel.call('changed', { infohash }),
        }
        return running()
          .seed(source, root)
          .then(() => null, toPlain)
      }),
    ),
  fetch: ({ root, ...job }, signal) =>
    running().fetch(job.infohash, root, {
      ...optionsOf(job, signal),
      onProgress: (stats) => channel.tell('progress', { job: job.job, stats }),
    }),
  fetchFile: ({ file, path, ...job }, signal) =>
    running().fetchFile(job.infohash, file, path, optionsOf(job, signal)),
  open: async ({ info, patienceMs, ...job }, signal) => {
    const reader = await running().open(job.infohash, {
      ...optionsOf(job, signal),
      ...(info === null ? {} : { info }),
      ...(patienceMs === null ? {} : { patienceMs }),
    })
    readers.set(job.job, reader)
    return { info: reader.info }
  },
  read: async ({ job, file, start, end }, signal) => {
    const reader = readers.get(job)
    if (reader === undefined) throw new TorrentError('aborted', 'the torrent is not open any more')
    const bytes = await reader.read(file, start, end, signal)
    return { bytes, downloadedBytes: reader.downloadedBytes }
  },
  close: async ({ job }) => {
    const reader = readers.get(job)
    readers.delete(job)
    await reader?.close()
  },
  addPeers: ({ infohash, peers }) => running().addPeers(infohash, peers),
  setOutside: ({ endpoint }) => running().setOutside(endpoint),
  remove: ({ infohash }) => running().remove(infohash),
  stats: () => running().stats(),
  discovery: () => running().discovery(),
  ping: () => {},
  stop: async () => engine?.stop(),
}

const channel = new Channel<NodeCalls, EngineCalls>(
  (message) => process.send?.(message, undefined, {}, ignore),
  answers,
)
process.on('message', (message) => channel.hear(message as Message))

function ignore(): void {
  // The node is gone: `disconnect` follows.
}

function running(): WebTorrentEngine {
  if (engine === null) throw new TorrentError('engine', 'the BitTorrent engine is not running')
  return engine
}

async function startEngine({ isDebug = false, ...options }: EngineProcessOptions): Promise<WebTorrentEngine> {
  const started = new WebTorrentEngine({ ...options, log: logOf({}, isDebug) })
  started.onSeedFailed((infohash, error) => channel.tell('seedFailed', { infohash, error: toPlain(error) }))
  await started.start()
  return started
}

const optionsOf = ({ job, peers }: Job, signal: AbortSignal) => ({
  peers,
  accept: (info: Uint8Array) => channel.call('accept', { job, info }),
  signal,
})

function logOf(bound: object, isDebug: boolean): Log {
  const write = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) =>
    channel.tell('log', { level, fields: { ...bound, ...fields }, message })
  return {
    debug: isDebug ? write('debug') : () => {},
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => logOf({ ...bound, ...fields }, isDebug),
  }
}
