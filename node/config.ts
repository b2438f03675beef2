/** What a volunteer can set about a node, and how it becomes a NodeConfig. See settings.ts for where values come from. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { PROJECTS, type Project } from '../protocol/dump/project.ts'
import { DISCOVERY_SETTINGS, type DiscoveryConfig, discoveryConfigOf } from './config-discovery.ts'
import { ENGINE_SETTINGS, type EngineChoice, engineChoiceOf } from './config-engine.ts'
import { REACH_SETTINGS, type ReachConfig, reachConfigOf } from './config-reach.ts'
import { SOURCE_SETTINGS, type SourceConfig, sourceConfigOf } from './config-sources.ts'
import { LOG_LEVELS, type LogLevel } from './observe/log.ts'
import {
  choice,
  hostPort,
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
} from './settings.ts'

export interface NodeConfig extends SourceConfig, DiscoveryConfig, ReachConfig {
  /** Absolute. */
  readonly dataDir: string
  /** The federation's `1.root.json`; absolute. */
  readonly rootPath: string
  /** Multiaddrs with a /p2p/ id, to begin with. */
  readonly peers: readonly string[]
  /** With `/` at its end. */
  readonly originUrl: string
  /** Mail or web address, for Wikimedia's operators. */
  readonly contact: string
  /** Who runs it; empty: the node stands for itself. */
  readonly operator: string
  /** What seeds. */
  readonly engine: EngineChoice
  readonly http: { readonly host: string; readonly port: number; readonly allowedHosts: readonly string[] }
  /** Bytes that it may fill. */
  readonly bytesTotal: number
  readonly languages: readonly string[]
  readonly projects: readonly Project[]
  readonly originFallback: boolean
  /** Hand everything over to others, then stop. */
  readonly leave: boolean
  readonly downloadLimitBytesPerSecond: number | null
  readonly uploadLimitBytesPerSecond: number | null
  /** For reading again what is held. */
  readonly rereadLimitBytesPerSecond: number
  /** Claims, and fetches, under way at once. */
  readonly claimsMax: number
  readonly fetchesMax: number
  readonly logLevel: LogLevel
}

export const peerAddress = textLike('a multiaddr that ends in /p2p/ and a peer id', (value) =>
  /^\/[a-z0-9]+\/\S+\/p2p\/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(value),
)
/** Operators are counted by name, so it is short and plain to read. */
export const operatorName = text('a name')
/** What upstream wants in a User-Agent (see node/origin): told here, where the flag can be named. */
const contact = textLike(
  'a mail address or a web address',
  (value) =>
    /^[\x21-\x7e]{3,200}$/.test(value) &&
    !/[();]/.test(value) &&
    (/^[^@\s]+@[^@\s]+$/.test(value) || /^https?:\/\/[^/]+/.test(value)),
)
const language = textLike('a language code', (value) => /^[a-z][a-z0-9-]{1,30}$/.test(value))
const allowedHost = textLike('a host name, with a port or without', (value) =>
  /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(value),
)

/** Shared by volunteers and coordinators. */
export const BASE_SETTINGS = {
  root: { value: '<file>', help: "the federation's root document, 1.root.json", kind: text() },
  peer: {
    value: '<multiaddr>',
    help: "a node to begin with, besides the root's coordinators",
    kind: list(peerAddress),
    default: [],
    repeat: true,
  },
  origin: {
    value: '<url>',
    help: 'where the dumps are published',
    kind: webAddress,
    default: 'https://dumps.wikimedia.org/',
  },
  ...SOURCE_SETTINGS,
  contact: { value: '<text>', help: "your mail or web address, for Wikimedia's operators", kind: contact },
  ...REACH_SETTINGS,
  ...ENGINE_SETTINGS,
  http: {
    value: '<host:port>',
    help: 'where status page and API listen; port 0 for any',
    kind: hostPort,
    default: { host: '127.0.0.1', port: 8080 },
  },
  allowedHost: {
    value: '<name>',
    help: 'a Host header to answer besides the loopback ones, for a reverse proxy',
    kind: list(allowedHost),
    default: [],
    repeat: true,
  },
  downloadLimit: {
    value: '<size>',
    help: 'BitTorrent bytes a second to receive at most (default: no limit)',
    kind: orNull(size),
    default: null,
  },
  uploadLimit: {
    value: '<size>',
    help: 'BitTorrent bytes a second to send at most (default: no limit)',
    kind: orNull(size),
    default: null,
  },
  ...DISCOVERY_SETTINGS,
  rereadLimit: {
    value: '<size>',
    help: 'bytes a second at which what is held is read again, once in 30 days',
    kind: size,
    default: 8_000_000,
  },
  logLevel: { value: '<level>', help: LOG_LEVELS.join(', '), kind: choice(LOG_LEVELS), default: 'info' },
} satisfies Settings

/** A folder of the user's own, where programs keep their data (XDG). */
export function defaultDataDir(name: string): string {
  return join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), name)
}

/** All settings of `wikiseed start`. */
export const NODE_SETTINGS = {
  data: {
    value: '<dir>',
    help: 'the data folder',
    kind: text(),
    default: defaultDataDir('wikiseed'),
  },
  ...BASE_SETTINGS,
  operator: {
    value: '<name>',
    help: 'who runs it: nodes of one operator count once (default: the node stands for itself)',
    kind: operatorName,
    default: '',
  },
  capacity: {
    value: '<size>',
    help: 'bytes that it may fill',
    kind: size,
    default: 50_000_000_000,
    defaultText: '50GB',
  },
  languages: {
    value: '<codes>',
    help: 'languages to prefer, separated by commas',
    kind: list(language),
    default: [],
    repeat: true,
  },
  projects: {
    value: '<names>',
    help: `projects to prefer: ${PROJECTS.join(', ')}`,
    kind: list(choice(PROJECTS)),
    default: [],
    repeat: true,
  },
  originFallback: {
    value: null,
    help: 'never take over from a lead that stalls: only the best ranked claimant touches the origin',
    kind: yesNo,
    default: true,
  },
  leave: {
    value: null,
    help: 'hand everything over to others, show what is waited for, then stop',
    kind: yesNo,
    default: false,
  },
  claims: { value: '<n>', help: 'claims under way at once', kind: whole(1, 10_000), default: 16 },
  fetches: { value: '<n>', help: 'fetches under way at once', kind: whole(1, 64), default: 4 },
} satisfies Settings

/** Throws UserError of one sentence that names the flag, variable or field that is wrong. */
export function readNodeConfig(sources: Sources): NodeConfig {
  const values = readSettings(NODE_SETTINGS, sources)
  return {
    ...baseConfigOf(values),
    dataDir: resolve(values.data),
    operator: values.operator,
    bytesTotal: values.capacity,
    languages: values.languages,
    projects: values.projects,
    originFallback: values.originFallback,
    leave: values.leave,
    claimsMax: values.claims,
    fetchesMax: values.fetches,
  }
}

type BaseValues = ReturnType<typeof readSettings<typeof BASE_SETTINGS>>

/** The part that volunteers and coordinators share. */
export function baseConfigOf(
  values: BaseValues,
): Omit<
  NodeConfig,
  | 'dataDir'
  | 'operator'
  | 'bytesTotal'
  | 'languages'
  | 'projects'
  | 'originFallback'
  | 'leave'
  | 'claimsMax'
  | 'fetchesMax'
> {
  return {
    rootPath: resolve(values.root),
    peers: values.peer,
    originUrl: values.origin,
    ...sourceConfigOf(values),
    contact: values.contact,
    ...reachConfigOf(values),
    engine: engineChoiceOf(values),
    http: { ...values.http, allowedHosts: values.allowedHost },
    downloadLimitBytesPerSecond: values.downloadLimit,
    uploadLimitBytesPerSecond: values.uploadLimit,
    ...discoveryConfigOf(values),
    rereadLimitBytesPerSecond: values.rereadLimit,
    logLevel: values.logLevel,
  }
}
