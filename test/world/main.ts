// `node test/world/main.ts`: the miniature outside world as a process of its own.
import { parseArgs } from 'node:util'
import { faultFlags } from './fault-flags.ts'
import { type Faults, readFaultChange } from './faults.ts'
import { startWorld, type World, type WorldOptions } from './world.ts'

const help = `The miniature outside world: Wikimedia, the Internet Archive, R2 and Gist on loopback.

Usage: node test/world/main.ts --dumps DIR [options]

  --dumps DIR             folder laid out WIKI/DATE/FILE
  --port N                first of six ports in a row (0: the system chooses each)
  --host HOST             address to listen on (127.0.0.1)
  --state DIR             where uploads are kept (without it: a temporary folder)
  --log FILE              append one JSON line for each request
  --seed TEXT             seed of the faults
  --archive-lag-ms N      time until an upload shows in the Archive's metadata (3000)
  --bytes-per-second N    pace of each dump download
  --connection-limit N    Wikimedia's requests at once for one address and User-Agent (3)
  --bucket NAME           R2 bucket that exists from the start (wikiseed)
  --json                  print the addresses and test credentials as one JSON line
  --help

Faults, also to be changed at run time by POST /_world/faults on Wikimedia's port:
${faultFlags.map(({ flag, help: text }) => `  --${flag.padEnd(22)}${text}`).join('\n')}

Examples
  node test/world/main.ts --dumps test/fixtures/dumps --port 4600 --state /tmp/world --log /tmp/world/access.jsonl
  node test/world/main.ts --dumps test/fixtures/dumps --json --fault-429 0.1 --fault-cut 0.2 --seed 7
  node test/world/main.ts --dumps test/fixtures/dumps --wrong-bytes 'aawiki/*/*.7z=1' --changing '*-index.txt.bz2'
  curl -A 'me@example.org' http://127.0.0.1:4600/index.json
  http_proxy=http://127.0.0.1:4600 ia --insecure upload my-item file.txt      (real host names, by the proxy form)
  curl -X POST -d '{"cutRate":0.5}' http://127.0.0.1:4600/_world/faults
  curl http://127.0.0.1:4600/_world/summary
`

class UsageError extends Error {}

function readArguments(args: string[]): { options: WorldOptions; json: boolean } | 'help' {
  const flags = Object.fromEntries(
    faultFlags.map(({ flag, takes }) => [
      flag,
      takes === 'nothing'
        ? { type: 'boolean' as const }
        : { type: 'string' as const, multiple: takes === 'list' },
    ]),
  )
  const text = { type: 'string' as const }
  const parsed = parseArgs({
    args,
    options: {
      ...flags,
      dumps: text,
      port: text,
      host: text,
      state: text,
      log: text,
      seed: text,
      'archive-lag-ms': text,
      'bytes-per-second': text,
      'connection-limit': text,
      bucket: text,
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  const values: Record<string, string | boolean | (string | boolean)[] | undefined> = parsed.values
  if (values.help === true) return 'help'
  const textOf = (name: string) => {
    const value = values[name]
    return typeof value === 'string' ? value : undefined
  }
  const numberOf = (name: string) => {
    const value = textOf(name)
    if (value === undefined) return undefined
    const number = Number(value)
    if (value === '' || !Number.isFinite(number) || number < 0)
      throw new UsageError(`--${name} wants a number`)
    return number
  }
  const dumps = textOf('dumps')
  if (dumps === undefined) throw new UsageError('--dumps DIR is needed (see --help)')
  const faults: Partial<Faults> = {}
  for (const { flag, takes, change } of faultFlags) {
    const value = values[flag]
    if (value === undefined) continue
    const number = takes === 'number' ? (numberOf(flag) ?? 0) : 0
    const list = Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
    Object.assign(faults, change({ number, list }))
  }
  const read = readFaultChange(faults)
  if (!read.ok) throw new UsageError(read.error)
  const options: WorldOptions = { dumps, faults }
  assignGiven(options, {
    host: textOf('host'),
    state: textOf('state'),
    log: textOf('log'),
    seed: textOf('seed'),
    bucket: textOf('bucket'),
    port: numberOf('port'),
    archiveLagMs: numberOf('archive-lag-ms'),
    bytesPerSecond: numberOf('bytes-per-second'),
    connectionLimit: numberOf('connection-limit'),
  })
  return { options, json: values.json === true }
}

function assignGiven(
  target: WorldOptions,
  given: { [K in keyof WorldOptions]?: WorldOptions[K] | undefined },
): void {
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) Object.assign(target, { [name]: value })
  }
}

function describe(world: World): Record<string, unknown> {
  const { archive, r2, gist } = world.credentials
  return {
    url: world.url,
    port: world.port,
    wikimedia: world.urls.wikimedia,
    archive: world.urls.archive,
    s3Archive: world.urls.archiveS3,
    archiveAccessKey: archive.accessKey,
    archiveSecretKey: archive.secretKey,
    r2: world.urls.r2,
    r2Public: `${world.urls.r2Public}/${world.bucket}`,
    r2Bucket: world.bucket,
    r2Region: r2.region,
    r2AccessKeyId: r2.accessKeyId,
    r2SecretAccessKey: r2.secretAccessKey,
    gist: world.urls.gist,
    gistToken: gist.token,
    gistLogin: gist.login,
    state: world.state,
    pid: process.pid,
  }
}

async function main(): Promise<void> {
  const read = readArguments(process.argv.slice(2))
  if (read === 'help') {
    process.stdout.write(help)
    return
  }
  const world = await startWorld(read.options)
  const facts = describe(world)
  const line = Object.entries(facts)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  process.stdout.write(`${read.json ? JSON.stringify(facts) : `world ready: ${line}`}\n`)
  const stop = () => {
    world.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(`world: could not close cleanly: ${String(error)}`)
        process.exit(1)
      },
    )
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
}

main().catch((error: unknown) => {
  console.error(`world: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
})
