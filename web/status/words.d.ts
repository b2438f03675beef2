/** Types of words.js for the tests; the page itself is plain JavaScript. */
interface Row {
  readonly safe: boolean
  readonly archived: boolean
  readonly held: number
  readonly claimed: number
  readonly replicas: number
}
export function bytes(count: number): string
export function percent(part: number, whole: number): string
export function ago(ms: number): string
export function day(date: string): string
export function shortId(id: string): string
export function stateOf(row: Row): { word: string; kind: 'safe' | 'wait' | 'bad' }
export function sourceWord(row: { fromOriginBytes: number; fromSwarmBytes: number }): string
interface Discovery {
  readonly off: string | null
  readonly nodes: number
  readonly announcedAtMs: number | null
}
export function whoWords(status: {
  readonly operator: string
  readonly node: string
  readonly version: string
  readonly nowMs: number
  readonly startedAtMs: number
}): string
export function footWords(status: {
  readonly federation: string
  readonly parametersFingerprint: string
  readonly addresses: readonly string[]
  readonly bittorrent: {
    readonly port: number
    readonly engine: string
    readonly discovery: { readonly dht: Discovery; readonly dht6: Discovery; readonly lsd: Discovery }
  }
  readonly nowMs: number
}): string
export function catalogWords(catalog: { readAtMs: number | null; observed: number }, nowMs: number): string
export function reachedWords(
  found: {
    readonly reachedBy: number
    readonly reachedFromOutsideBy: number
    readonly missedBy: number
    readonly reachedAtMs: number | null
  },
  nowMs: number,
): string
export function routerWords(port: {
  readonly natMapping: string | null
  readonly forwarding: {
    readonly by: string | null
    readonly externalHost: string | null
    readonly externalPort: number | null
    readonly error: string | null
  } | null
}): string
export function problemWord(code: string): string
