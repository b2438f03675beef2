import type { Sleep } from '../../node/origin/pace.ts'

/** Virtual time: sleepers are woken in order of their time, each at its own moment. */
export function virtualTime(startMs: number) {
  let nowMs = startMs
  const sleepers: { atMs: number; wake: () => void }[] = []
  const sleep: Sleep = (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const one = { atMs: nowMs + ms, wake: () => resolve() }
      sleepers.push(one)
      signal?.addEventListener('abort', () => {
        if (sleepers.includes(one)) sleepers.splice(sleepers.indexOf(one), 1)
        reject(signal.reason)
      })
    })
  /** Lets what is ready run; promises settle within a few turns of the loop. */
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  const advance = async (ms: number) => {
    const untilMs = nowMs + ms
    await settle()
    for (;;) {
      sleepers.sort((a, b) => a.atMs - b.atMs)
      const [first] = sleepers
      if (first === undefined || first.atMs > untilMs) break
      sleepers.shift()
      nowMs = first.atMs
      first.wake()
      await settle()
    }
    nowMs = untilMs
  }
  return {
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    sleep,
    advance,
    settle,
    now: () => nowMs,
  }
}
