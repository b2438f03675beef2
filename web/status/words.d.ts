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
export function catalogWords(catalog: { readAtMs: number | null; observed: number }, nowMs: number): string
export function problemWord(code: string): string
