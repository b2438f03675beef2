import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readCoordinatorConfig } from '../../coordinator/config.ts'
import { UserError } from '../../node/commands/user-error.ts'
import { readNodeConfig } from '../../node/config.ts'
import { duration, size } from '../../node/settings.ts'

const NEEDED = { root: '1.root.json', contact: 'me@example.org' }
const PEER = `12D3KooW${'a'.repeat(44)}`

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-config-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const file = (value: unknown): string => {
  const path = join(folder, 'config.json')
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
  return path
}
const node = (flags: object = {}, env: Record<string, string> = {}, config: string | null = null) =>
  readNodeConfig({ flags: { ...NEEDED, ...flags }, env, file: config })

describe('a setting', () => {
  it('comes from the flag, then the environment, then the file, then the default', () => {
    const config = file({ operator: 'from file', capacity: '3GB', claims: 3 })
    const env = { WIKISEED_OPERATOR: 'from env', WIKISEED_CAPACITY: '2GB' }
    const found = node({ operator: 'from flag' }, env, config)
    expect([found.operator, found.bytesTotal, found.claimsMax, found.fetchesMax]).toEqual([
      'from flag',
      2e9,
      3,
      4,
    ])
  })

  it('that is a switch can be turned off anywhere', () => {
    expect(node().originFallback).toBe(true)
    expect(node({ originFallback: false }).originFallback).toBe(false)
    expect(node({}, { WIKISEED_ORIGIN_FALLBACK: 'no' }).originFallback).toBe(false)
    expect(node({}, {}, file({ originFallback: false })).originFallback).toBe(false)
  })

  it('that is a list may be given more than once or separated by commas', () => {
    expect(node({ languages: ['de,fr', 'tr'] }).languages).toEqual(['de', 'fr', 'tr'])
    expect(node({}, { WIKISEED_LANGUAGES: 'de, fr' }).languages).toEqual(['de', 'fr'])
    expect(node({}, {}, file({ languages: ['de'] })).languages).toEqual(['de'])
    expect(node({ projects: ['wikisource,commons'] }).projects).toEqual(['wikisource', 'commons'])
    expect(() => node({ projects: ['encyclopedia'] })).toThrow(
      '--projects (number 1): "encyclopedia" is not one of wikipedia',
    )
  })

  it('says how peers find each other', () => {
    expect(node()).toMatchObject({
      trackers: ['udp://tracker.opentrackr.org:1337/announce', 'udp://open.stealth.si:80/announce'],
      dht: {
        bootstrap: ['router.bittorrent.com:6881', 'dht.transmissionbt.com:6881', 'router.utorrent.com:6881'],
        port: null,
      },
      lsd: true,
    })
    expect(node({ tracker: ['none'], dht: false, lsd: false })).toMatchObject({
      trackers: [],
      dht: null,
      lsd: false,
    })
    const env = { WIKISEED_DHT_BOOTSTRAP: '127.0.0.1:7, router.example.org:6881', WIKISEED_DHT_PORT: '7000' }
    expect(node({}, env).dht).toEqual({ bootstrap: ['127.0.0.1:7', 'router.example.org:6881'], port: 7_000 })
    expect(() => node({ dhtBootstrap: ['example.org'] })).toThrow('--dht-bootstrap (number 1): "example.org"')
    expect(() => node({ dhtBootstrap: ['example.org:0'] })).toThrow('is not a host and a port')
  })

  it('says where dumps may come from, how fast and when', () => {
    expect(node()).toMatchObject({
      mirrors: [],
      archiveSite: 'https://archive.org/',
      fromArchive: true,
      webLimitBytesPerSecond: null,
      quietHours: [],
      monthlyBudgetBytes: null,
    })
    const env = {
      WIKISEED_MIRROR: 'https://dumps.wikimedia.your.org, http://127.0.0.1:1/dumps',
      WIKISEED_FROM_ARCHIVE: 'no',
      WIKISEED_WEB_LIMIT: '5MB',
      WIKISEED_QUIET_HOURS: '08:00-12:00,22:00-06:30',
      WIKISEED_MONTHLY_BUDGET: '2TB',
    }
    expect(node({}, env)).toMatchObject({
      mirrors: ['https://dumps.wikimedia.your.org/', 'http://127.0.0.1:1/dumps/'],
      fromArchive: false,
      webLimitBytesPerSecond: 5e6,
      quietHours: [
        { from: 480, to: 720 },
        { from: 1_320, to: 390 },
      ],
      monthlyBudgetBytes: 2e12,
    })
    expect(() => node({ quietHours: ['8-18'] })).toThrow(
      '--quiet-hours (number 1): "8-18" is not a time such as',
    )
    expect(() => node({ quietHours: ['00:00-12:00,12:00-24:00'] })).toThrow('no minute of the day is left')
    expect(() => node({ webLimit: '10' })).toThrow('--web-limit: less than 1024 bytes a second')
    expect(() => node({ mirror: ['ftp://x'] })).toThrow('--mirror (number 1)')
  })

  it('listens on loopback unless told otherwise', () => {
    const { http, bittorrent, listen } = node()
    expect([http.host, bittorrent.host, listen]).toEqual([
      '127.0.0.1',
      '127.0.0.1',
      ['/ip4/127.0.0.1/tcp/4811'],
    ])
  })
})

describe('the program that seeds', () => {
  const SECRET = { WIKISEED_ENGINE_PASSWORD: 'hidden' }
  const url = 'http://127.0.0.1:9091'

  it('is our own unless told otherwise', () => {
    expect(node().engine).toEqual({ kind: 'own' })
    expect(readCoordinatorConfig({ flags: NEEDED, env: {}, file: null }).engine).toEqual({ kind: 'own' })
  })

  it('is named with its address, a user, and a password that no flag and no configuration file gives', () => {
    const flags = { engine: 'transmission', engineUrl: url, engineUser: 'me', engineFolder: '/data' }
    expect(node(flags, SECRET).engine).toEqual({
      kind: 'transmission',
      url: `${url}/`,
      user: 'me',
      password: 'hidden',
      folder: '/data',
    })
    expect(node({ ...flags, enginePassword: 'seen' }).engine).toMatchObject({ password: null })
    expect(() => node(flags, {}, file({ enginePassword: 'seen' }))).toThrow('there is no setting')
    const path = join(folder, 'password')
    writeFileSync(path, 'from a file\n')
    expect(node(flags, { WIKISEED_ENGINE_PASSWORD_FILE: path }).engine).toMatchObject({
      password: 'from a file',
    })
  })

  it.each([
    [{ engine: 'rtorrent' }, {}, '--engine: "rtorrent" is not one of own, qbittorrent, transmission'],
    [{ engine: 'qbittorrent' }, {}, '--engine-url is needed with --engine qbittorrent'],
    [{ engineUrl: url }, {}, '--engine-url: --engine says which program is there'],
    [{ engine: 'qbittorrent', engineUrl: url }, SECRET, '--engine-user is needed with a password'],
  ])('is refused as %o', (flags, env, words) => {
    expect(() => node(flags, env)).toThrow(words)
  })
})

describe('a wrong setting is one sentence that names its place', () => {
  it.each([
    [{ capacity: '50 parrots' }, '--capacity: "50 parrots" is not a size such as 500MB, 50GB or 20GiB'],
    [{ bittorrentPort: '70000' }, '--bittorrent-port: "70000" is not a whole number from 0 to 65535'],
    [{ http: 'example' }, '--http: "example" is not a port, or a host and a port such as 127.0.0.1:8080'],
    [{ origin: 'ftp://x/' }, '--origin: "ftp://x/" is not a web address'],
    [{ origin: 'https://me:pass@x/' }, '--origin: '],
    [{ logLevel: 'loud' }, '--log-level: "loud" is not one of debug, info, warn, error, silent'],
    [
      { peer: ['/ip4/1.2.3.4/tcp/1/p2p/nobody'] },
      '--peer (number 1): "/ip4/1.2.3.4/tcp/1/p2p/nobody" is not a multiaddr that ends in /p2p/',
    ],
    [{ contact: '  ' }, '--contact: is empty'],
    [{ mapPorts: true }, '--map-ports: only this machine gets in; add --listen /ip4/0.0.0.0/tcp/4811'],
    [{ contact: 'me' }, '--contact: "me" is not a mail address or a web address'],
  ])('%j', (flags, message) => {
    expect(() => node(flags)).toThrow(UserError)
    expect(() => node(flags)).toThrow(message)
  })

  it('names the variable, and the field of the file', () => {
    expect(() => node({}, { WIKISEED_CLAIMS: 'x' })).toThrow('WIKISEED_CLAIMS: "x" is not a whole number')
    const config = file({ capacity: -1 })
    expect(() => node({}, {}, config)).toThrow(`${config}, "capacity": -1 is not a size`)
    expect(() => node({}, {}, file({ capcity: 1 }))).toThrow('there is no setting "capcity"')
    expect(() => node({}, {}, file('{"a":'))).toThrow('config.json is not JSON')
    expect(() => node({}, {}, file([]))).toThrow('is not a JSON object of settings')
    expect(() => node({}, {}, join(folder, 'gone.json'))).toThrow('gone.json cannot be read')
  })

  it('says how to give what is missing', () => {
    expect(() => readNodeConfig({ flags: { root: 'x' }, env: {}, file: null })).toThrow(
      '--contact <text> is needed (or WIKISEED_CONTACT, or "contact" in the --config file)',
    )
  })
})

describe('sizes and times', () => {
  it.each([
    ['0', 0],
    ['1500000', 1_500_000],
    ['50GB', 50e9],
    ['50 gb', 50e9],
    ['20GiB', 20 * 1024 ** 3],
    ['1.5T', 1.5e12],
    [42, 42],
  ])('%s bytes', (text, bytes) => expect(size.parse(text)).toBe(bytes))

  it.each(['', 'GB', '-1', '1e9', '50XB', 0.5, '9'.repeat(30), '99999999TB'])('%s is no size', (text) => {
    expect(size.safeParse(text).success).toBe(false)
  })

  it.each([
    ['500ms', 500],
    ['1.5s', 1_500],
    ['10m', 600_000],
    ['1d', 86_400_000],
  ])('%s', (text, ms) => expect(duration.parse(text)).toBe(ms))

  it.each(['5', '0s', '-1s', '1y', '60d'])('%s is no time that a timer takes', (text) => {
    expect(duration.safeParse(text).success).toBe(false)
  })
})

describe("a coordinator's secrets", () => {
  const read = (env: Record<string, string>, flags: object = {}) =>
    readCoordinatorConfig({ flags: { ...NEEDED, ...flags }, env, file: null })

  it('come from the environment, or from the file that it names', () => {
    const path = join(folder, 'secret')
    writeFileSync(path, 'from a file\n')
    const env = { WIKISEED_ARCHIVE_ACCESS_KEY: 'key', WIKISEED_ARCHIVE_SECRET_KEY_FILE: path }
    expect(read(env).archive).toMatchObject({
      accessKey: 'key',
      secretKey: 'from a file',
      s3Url: 'https://s3.us.archive.org',
    })
  })

  it('are taken from no flag and no file', () => {
    expect(read({}, { gistToken: 'x' }).gist).toBeNull()
    const config = file({ gistToken: 'x' })
    expect(() => readCoordinatorConfig({ flags: NEEDED, env: {}, file: config })).toThrow(
      'there is no setting "gistToken"',
    )
  })

  it('that go together are asked for together, and never shown', () => {
    expect(() => read({ WIKISEED_ARCHIVE_ACCESS_KEY: 'swordfish' })).toThrow(/^(?!.*swordfish).*go together/)
    const flags = { r2Endpoint: 'https://r2.example.org', r2Bucket: 'b' }
    expect(() => read({ WIKISEED_R2_ACCESS_KEY_ID: 'k' }, flags)).toThrow('WIKISEED_R2_SECRET_ACCESS_KEY')
    expect(() => read({ WIKISEED_GIST_TOKEN_FILE: join(folder, 'gone') })).toThrow('WIKISEED_GIST_TOKEN_FILE')
  })

  it('and the nodes whose audits count', () => {
    expect(read({}, { operatorNode: [`a library=${PEER}`] }).operators).toEqual([
      { node: PEER, operator: 'a library' },
    ])
    expect(() => read({}, { operatorNode: ['nobody'] })).toThrow(
      '--operator-node (number 1): "nobody" is not a NAME=PEERID',
    )
  })

  it('keeps its things below the data folder unless told otherwise', () => {
    const found = readCoordinatorConfig({
      flags: { contact: 'https://example.org/me', data: folder },
      env: {},
      file: null,
    })
    expect(found).toMatchObject({
      keysDir: join(folder, 'federation'),
      rootPath: join(folder, 'federation', '1.root.json'),
      publishDir: join(folder, 'published'),
      archive: null,
      r2: null,
      gist: null,
    })
  })
})
