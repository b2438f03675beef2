/** Processor time and memory of another process, from Linux's /proc (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which is 100 on every Linux of today. */
const TICKS_PER_SECOND = 100
const SAMPLE_MS = 100

/** Seconds of processor time of all its threads, user and system. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field, the program's name in parentheses, may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident bytes; the same with what n processes share counted as an n-th; and what no other process shares. */
export function memoryOf(pid: number): { rssBytes: number; pssBytes: number; privateBytes: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}: +([0-9]+) kB$`, 'm').exec(text)?.[1] ?? 0)
  return {
    rssBytes: bytes('Rss'),
    pssBytes: bytes('Pss'),
    privateBytes: bytes('Private_Clean') + bytes('Private_Dirty'),
  }
}

export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

export interface NodeCost {
  /** Of the process with store and records. */
  readonly rssBytes: number
  readonly engineRssBytes: number
  /** Of both, what they share counted once. */
  readonly pssBytes: number
  readonly openFiles: number
  /** Of the processor, user and system, since both began. */
  readonly cpuMs: number
}

/** A node's process and its engine's. */
export function costOf(pid: number, engine: number): NodeCost {
  const [own, engines] = [memoryOf(pid), memoryOf(engine)]
  return {
    rssBytes: own.rssBytes,
    engineRssBytes: engines.rssBytes,
    pssBytes: own.pssBytes + engines.pssBytes,
    openFiles: openFiles(pid) + openFiles(engine),
    cpuMs: (cpuSeconds(pid) + cpuSeconds(engine)) * 1_000,
  }
}

/** The most private memory that it had, looked at ten times a second until `stop`. */
export function watchMemory(pid: number): { stop(): number } {
  const now = () => memoryOf(pid).privateBytes
  let most = now()
  const timer = setInterval(() => {
    most = Math.max(most, now())
  }, SAMPLE_MS)
  return {
    stop() {
      clearInterval(timer)
      return most
    },
  }
}
