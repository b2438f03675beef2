import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHostLimiter, type HostLimiter } from '../../node/origin/host-limiter.ts'
import { backoffMs, retryAfterMs, type Sleep } from '../../node/origin/pace.ts'
import { retry } from '../../node/origin/retry.ts'
import { OriginError, type OriginErrorCode } from '../../node/ports.ts'

/** A clock that moves when it is told to, and a sleep on it. */
function fakeTime(): { nowMs: number; sleep: Sleep; clock: { wallMs(): number; monotonicMs(): number } } {
  const time = {
    nowMs: 0,
    sleep: async (ms: number): Promise<void> => {
      await Promise.resolve()
      time.nowMs += ms
    },
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
  }
  return time
}

const limiterOf = (time: ReturnType<typeof fakeTime>, queueMax = 10): HostLimiter =>
  createHostLimiter({ connectionsMax: 2, queueMax, clock: time.clock, sleep: time.sleep })

describe('the host limiter', () => {
  it('lets two in, the third when one leaves, in the order they came', async () => {
    const limiter = limiterOf(fakeTime())
    const order: string[] = []
    const enter = async (name: string): Promise<() => void> => {
      const release = await limiter.acquire('a')
      order.push(name)
      return release
    }
    const [first] = await Promise.all([enter('1'), enter('2')])
    const third = enter('3')
    const fourth = enter('4')
    await limiter.acquire('another host')
    expect(order).toEqual(['1', '2'])
    first()
    first() // Giving back twice gives back once.
    await third
    expect(order).toEqual(['1', '2', '3'])
    ;(await third)()
    await fourth
    expect(order).toEqual(['1', '2', '3', '4'])
  })

  it('starts nobody while the host is paused, and a shorter pause does not end a longer one', async () => {
    const time = fakeTime()
    const limiter = limiterOf(time)
    limiter.pause('a', 5_000)
    limiter.pause('a', 10)
    expect(limiter.pausedMs('a')).toBe(5_000)
    await limiter.acquire('b')
    expect(time.nowMs).toBe(0)
    await limiter.acquire('a')
    expect(time.nowMs).toBe(5_000)
  })

  it('bounds the queue, and who stops waiting leaves it', async () => {
    const limiter = limiterOf(fakeTime(), 1)
    const release = await limiter.acquire('a')
    await limiter.acquire('a')
    const stop = new AbortController()
    const waiting = limiter.acquire('a', stop.signal)
    await expect(limiter.acquire('a')).rejects.toMatchObject({ code: 'busy' })
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    const next = limiter.acquire('a')
    release()
    await next
  })
})

describe('back-off', () => {
  it('doubles up to its maximum, half of it for sure', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, chance) => {
          const full = Math.min(60_000, 1_000 * 2 ** attempt)
          const ms = backoffMs({ baseMs: 1_000, maxMs: 60_000, random: () => chance }, attempt)
          expect(ms).toBeGreaterThanOrEqual(full / 2)
          expect(ms).toBeLessThanOrEqual(full)
        },
      ),
    )
  })

  it.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
    ['999999999', 3_600_000],
    ['soon', null],
    ['-5', null],
    ['', null],
    [null, null],
  ])('reads Retry-After %j', (value, expected) => {
    expect(retryAfterMs(value, Date.UTC(2026, 0, 1), 3_600_000)).toBe(expected)
  })
})

describe('retry', () => {
  const policyOf = (time: ReturnType<typeof fakeTime>) => ({
    retriesMax: 3,
    backoff: { baseMs: 100, maxMs: 1_000, random: () => 1 },
    sleep: time.sleep,
  })

  it.each<[OriginErrorCode, number]>([
    ['busy', 4],
    ['network', 4],
    ['not-json', 4],
    ['not-found', 1],
    ['refused', 1],
    ['changed', 1],
    ['wrong-size', 1],
    ['too-large', 1],
    ['aborted', 1],
  ])('on %s makes %i attempts', async (code, attempts) => {
    const time = fakeTime()
    let made = 0
    const failing = retry(policyOf(time), async () => {
      made++
      throw new OriginError(code, `attempt ${made}`)
    })
    await expect(failing).rejects.toMatchObject({ code, message: `attempt ${attempts}` })
    expect(made).toBe(attempts)
    expect(time.nowMs).toBe(attempts === 1 ? 0 : 100 + 200 + 400)
  })

  it('counts anew when an attempt got ahead', async () => {
    let made = 0
    const result = await retry(policyOf(fakeTime()), async (gotAhead) => {
      if (++made === 3) gotAhead()
      if (made < 6) throw new OriginError('network', 'cut')
      return 'done'
    })
    expect(result).toBe('done')
  })

  it('passes other errors on at once', async () => {
    const bug = new TypeError('a bug')
    await expect(retry(policyOf(fakeTime()), () => Promise.reject(bug))).rejects.toBe(bug)
  })
})
