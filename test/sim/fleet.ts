/** All machines of a run: the coordinator's own first, volunteers, and places for sybils that are born later. */
import type { KeyRing } from './keys.ts'
import { Machine } from './machine.ts'
import type { SimOptions } from './options.ts'
import type { Prng } from './prng.ts'
import { drawKinds, drawProfile, type Kind, type Profile } from './profiles.ts'

/** Of a hundred nodes. */
const SYBILS = 3

/** `told`: what is not to be drawn, by machine. */
export function makeFleet(
  options: SimOptions,
  ring: KeyRing,
  rng: Prng,
  told: readonly Partial<Profile>[] = [],
): Machine[] {
  const sybils = options.faults.has('sybils') ? Math.max(2, Math.floor((options.nodes * SYBILS) / 100)) : 0
  const kinds: Kind[] = ['honest', ...drawKinds(options.nodes - 1 - sybils, options, rng.fork('kinds'))]
  for (let i = 0; i < sybils; i++) kinds.push('sybil')
  return kinds.map((kind, index) => {
    const drawn = drawProfile(index, kind, options, rng.fork(`machine ${index}`))
    const isHome = index === 0
    const profile = isHome
      ? {
          ...drawn,
          // The coordinator's machine collects everything to preserve it, on a good line.
          operator: 'operator-0',
          bytesTotal: Number.MAX_SAFE_INTEGER,
          diskBytes: Number.MAX_SAFE_INTEGER,
          downBytesPerSecond: 120_000_000,
          upBytesPerSecond: 120_000_000,
          reachable: true,
          offAtNight: false,
        }
      : { ...drawn, ...told[index] }
    return new Machine(index, ring.make(rng), profile, {
      role: isHome ? 'collector' : 'volunteer',
      agent: 'simulated',
      operator: profile.operator,
      languages: profile.languages,
      projects: profile.projects,
      bytesTotal: profile.bytesTotal,
      claimsMax: kind === 'hog' || kind === 'sybil' ? 1_000 : 8,
      fetchesMax: isHome ? 16 : 4,
      originFallback: true,
    })
  })
}
