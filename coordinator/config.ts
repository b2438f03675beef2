/** What can be set about a coordinator. Secrets come from the environment or from files it names, never from flags. */
import { join, resolve } from 'node:path'
import { UserError } from '../node/commands/user-error.ts'
import { BASE_SETTINGS, baseConfigOf, defaultDataDir, type NodeConfig, operatorName } from '../node/config.ts'
import {
  duration,
  list,
  orNull,
  readSettings,
  type Settings,
  type Sources,
  size,
  text,
  textLike,
  webAddress,
  whole,
  yesNo,
} from '../node/settings.ts'
import { isNodeId, type NodeId } from '../protocol/ids.ts'

export interface CoordinatorConfig
  extends Omit<NodeConfig, 'languages' | 'projects' | 'originFallback' | 'leave' | 'claimsMax'> {
  /** The folder that `coordinator init` made: it holds `keys/`. */
  readonly keysDir: string
  /** Operators whose audits count (PROTOCOL 7), besides this one. */
  readonly operators: readonly { readonly node: NodeId; readonly operator: string }[]
  readonly publishDir: string
  /** Where people find the publication, with `/` at its end; null when it has no address. */
  readonly publicUrl: string | null
  /** Told in Metalinks: where items are downloaded, and mirrors besides `originUrl`; each with `/` at its end. */
  readonly archiveSite: string
  readonly mirrors: readonly string[]
  readonly discoverEveryMs: number
  /** Content File Exports are described too. */
  readonly exports: boolean
  readonly preserveEveryMs: number
  readonly publishEveryMs: number
  /** A cycle is bundled once no run of it was new for so long; null: no bundles are made. */
  readonly bundleQuietMs: number | null
  /** null: nothing is uploaded there. */
  readonly archive: {
    readonly s3Url: string
    readonly siteUrl: string
    readonly accessKey: string
    readonly secretKey: string
    readonly collection: string
    readonly timing: { readonly pollMs: number; readonly slowDownMs: number }
  } | null
  readonly r2: {
    readonly endpoint: string
    readonly bucket: string
    readonly prefix: string
    readonly region: string
    readonly accessKeyId: string
    readonly secretAccessKey: string
  } | null
  readonly gist: { readonly apiUrl: string; readonly token: string; readonly isPublic: boolean } | null
}

const operatorNode = textLike('a NAME=PEERID', (value) => parseOperatorNode(value) !== null)
const secret = { value: null, kind: orNull(text()), default: null, secret: true } as const

const { root, ...base } = BASE_SETTINGS

/** All settings of `wikiseed coordinator start`. */
export const COORDINATOR_SETTINGS = {
  data: {
    value: '<dir>',
    help: 'the data folder',
    kind: text(),
    default: defaultDataDir('wikiseed-coordinator'),
  },
  federation: {
    value: '<dir>',
    help: "the folder that 'coordinator init' made (default: <data>/federation)",
    kind: orNull(text()),
    default: null,
  },
  root: {
    ...root,
    help: `${root.help} (default: <federation>/1.root.json)`,
    kind: orNull(root.kind),
    default: null,
  },
  ...base,
  operator: { value: '<name>', help: 'who runs it', kind: operatorName, default: 'coordinator' },
  operatorNode: {
    value: '<name=peerid>',
    help: 'a node whose audits count, with its operator',
    kind: list(operatorNode, 10_000),
    default: [],
    repeat: true,
  },
  capacity: {
    value: '<size>',
    help: 'bytes that it may fill',
    kind: size,
    default: 500_000_000_000,
    defaultText: '500GB',
  },
  fetches: { value: '<n>', help: 'fetches under way at once', kind: whole(1, 64), default: 4 },
  publish: {
    value: '<dir>',
    help: 'folder to publish to (default: <data>/published)',
    kind: orNull(text()),
    default: null,
  },
  publicUrl: {
    value: '<url>',
    help: 'where people find the published folder, for the feed',
    kind: orNull(webAddress),
    default: null,
  },
  mirror: {
    value: '<url>',
    help: 'a mirror laid out like the origin, to be named in Metalinks',
    kind: list(webAddress),
    default: [],
    repeat: true,
  },
  discoverEvery: {
    value: '<time>',
    help: 'how often upstream is read',
    kind: duration,
    default: 3_600_000,
    defaultText: '1h',
  },
  exports: {
    value: null,
    help: 'leave the MediaWiki Content File Exports out: only the SQL and XML dumps are described',
    kind: yesNo,
    default: true,
  },
  preserveEvery: {
    value: '<time>',
    help: 'how often the archive is looked after',
    kind: duration,
    default: 60_000,
    defaultText: '1m',
  },
  publishEvery: {
    value: '<time>',
    help: 'how often it is published',
    kind: duration,
    default: 300_000,
    defaultText: '5m',
  },
  bundles: {
    value: null,
    help: 'make no cycle bundles: one torrent of all small runs of a month',
    kind: yesNo,
    default: true,
  },
  bundleQuiet: {
    value: '<time>',
    help: 'how long no run of a month must be new before its bundles are made',
    kind: duration,
    default: 604_800_000,
    defaultText: '7d',
  },
  archiveS3: {
    value: '<url>',
    help: "the Internet Archive's S3 door; used when the archive's keys are set",
    kind: webAddress,
    default: 'https://s3.us.archive.org/',
  },
  archiveCollection: {
    value: '<name>',
    help: 'the collection to upload to',
    kind: text(),
    default: 'opensource',
  },
  archivePoll: {
    value: '<time>',
    help: 'first pause between looks at an upload',
    kind: duration,
    default: 5_000,
    defaultText: '5s',
  },
  archiveSlowDown: {
    value: '<time>',
    help: 'first pause when the archive is busy',
    kind: duration,
    default: 30_000,
    defaultText: '30s',
  },
  archiveAccessKey: { ...secret, help: "the archive account's access key" },
  archiveSecretKey: { ...secret, help: "the archive account's secret key" },
  r2Endpoint: { value: '<url>', help: 'S3 endpoint to publish to', kind: orNull(webAddress), default: null },
  r2Bucket: { value: '<name>', help: 'its bucket', kind: orNull(text()), default: null },
  r2Prefix: { value: '<path>', help: 'put before every path in the bucket', kind: text(), default: '' },
  r2Region: { value: '<name>', help: 'its region', kind: text(), default: 'auto' },
  r2AccessKeyId: { ...secret, help: "the bucket's access key id" },
  r2SecretAccessKey: { ...secret, help: "the bucket's secret access key" },
  gistApi: {
    value: '<url>',
    help: 'the Gist API; used when a token is set',
    kind: webAddress,
    default: 'https://api.github.com/',
  },
  gistPublic: { value: null, help: 'make the gist a public one', kind: yesNo, default: false },
  gistToken: { ...secret, help: 'a token with the scope gist' },
} satisfies Settings

type Values = ReturnType<typeof readSettings<typeof COORDINATOR_SETTINGS>>

/** Throws UserError of one sentence that names the flag, variable or field that is wrong. */
export function readCoordinatorConfig(sources: Sources): CoordinatorConfig {
  const values = readSettings(COORDINATOR_SETTINGS, sources)
  const dataDir = resolve(values.data)
  const keysDir = resolve(values.federation ?? join(dataDir, 'federation'))
  return {
    ...baseConfigOf({ ...values, root: values.root ?? join(keysDir, '1.root.json') }),
    dataDir,
    keysDir,
    operator: values.operator,
    bytesTotal: values.capacity,
    fetchesMax: values.fetches,
    operators: values.operatorNode.map(parseOperatorNode).filter((one) => one !== null),
    publishDir: resolve(values.publish ?? join(dataDir, 'published')),
    publicUrl: values.publicUrl,
    archiveSite: values.archiveSite,
    mirrors: values.mirror,
    discoverEveryMs: values.discoverEvery,
    exports: values.exports,
    preserveEveryMs: values.preserveEvery,
    publishEveryMs: values.publishEvery,
    bundleQuietMs: values.bundles ? values.bundleQuiet : null,
    archive: archiveOf(values),
    r2: r2Of(values),
    gist: gistOf(values),
  }
}

function archiveOf(values: Values): CoordinatorConfig['archive'] {
  const { archiveAccessKey: accessKey, archiveSecretKey: secretKey } = values
  if (accessKey === null && secretKey === null) return null
  if (accessKey === null || secretKey === null) {
    throw new UserError(
      'WIKISEED_ARCHIVE_ACCESS_KEY and WIKISEED_ARCHIVE_SECRET_KEY go together; one of them is missing',
    )
  }
  return {
    s3Url: bare(values.archiveS3),
    siteUrl: bare(values.archiveSite),
    accessKey,
    secretKey,
    collection: values.archiveCollection,
    timing: { pollMs: values.archivePoll, slowDownMs: values.archiveSlowDown },
  }
}

function r2Of(values: Values): CoordinatorConfig['r2'] {
  const {
    r2Endpoint: endpoint,
    r2Bucket: bucket,
    r2AccessKeyId: accessKeyId,
    r2SecretAccessKey: secretAccessKey,
  } = values
  if (endpoint === null && bucket === null) return null
  if (endpoint === null || bucket === null)
    throw new UserError('--r2-endpoint and --r2-bucket go together; one of them is missing')
  if (accessKeyId === null || secretAccessKey === null) {
    throw new UserError(
      'publishing to the bucket needs WIKISEED_R2_ACCESS_KEY_ID and WIKISEED_R2_SECRET_ACCESS_KEY',
    )
  }
  return {
    endpoint: bare(endpoint),
    bucket,
    prefix: values.r2Prefix.replace(/^\/+|\/+$/g, ''),
    region: values.r2Region,
    accessKeyId,
    secretAccessKey,
  }
}

function gistOf({ gistToken: token, gistApi, gistPublic }: Values): CoordinatorConfig['gist'] {
  return token === null ? null : { apiUrl: bare(gistApi), token, isPublic: gistPublic }
}

function parseOperatorNode(value: string): { node: NodeId; operator: string } | null {
  const at = value.lastIndexOf('=')
  const node = value.slice(at + 1)
  return at > 0 && isNodeId(node) ? { node, operator: value.slice(0, at).trim() } : null
}

/** Without the slash at its end. */
function bare(url: string): string {
  return url.replace(/\/+$/, '')
}
