import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fileAuditBytes, judgeFileAudit, planFileAudit } from '../../protocol/audit/file-audit.ts'
import { hasRange } from '../../protocol/audit/messages.ts'
import { AUDIT_FILE_BYTES_MAX, AUDIT_RANGES_MAX } from '../../protocol/limits.ts'
import { makeShard } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'

const MiB = 1024 * 1024
const nonceOf = (number: number) => new Uint8Array(createHash('sha256').update(String(number)).digest())

function shardOf(...sizes: number[]): Shard {
  const names = sizes.map((_, i) => `tenwiki-20260101-file-${String(i).padStart(4, '0')}.sql.gz`)
  return makeShard({
    dataset: 'dumps',
    wiki: 'tenwiki',
    date: '20260101',
    part: 0,
    files: names.map((name, i) => ({
      path: `20260101/${name}`,
      sizeBytes: sizes[i] ?? 0,
      digests: { sha1: 'cd'.repeat(20) },
    })),
    statusJson: `{"job":{"files":${JSON.stringify(names)},"status":"done"}}\n`,
    bundleVersion: 1,
  })
}

const chosen = (shard: Shard) =>
  new Set(Array.from({ length: 200 }, (_, i) => planFileAudit(shard, nonceOf(i))?.file))

describe('the file that a non-holder asks for', () => {
  it('is any of those with bytes that a home can send, as the nonce says', () => {
    expect(chosen(shardOf(5, 0, 3 * MiB, AUDIT_FILE_BYTES_MAX, AUDIT_FILE_BYTES_MAX + 1))).toEqual(
      new Set([0, 2, 3]),
    )
  })

  it('is the smallest when all are larger', () => {
    expect(chosen(shardOf(90 * MiB, 80 * MiB, 0, 85 * MiB))).toEqual(new Set([1]))
  })

  it('is none when all files are empty', () => {
    expect(planFileAudit(shardOf(0, 0), nonceOf(1))).toBeNull()
    expect(fileAuditBytes(shardOf(0, 0))).toBe(0)
  })

  it('is asked for to the last byte, each byte once, up to the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: AUDIT_FILE_BYTES_MAX }), fc.nat(), (sizeBytes, number) => {
        const shard = shardOf(sizeBytes)
        const plan = planFileAudit(shard, nonceOf(number))
        let at = 0
        for (const range of plan?.ranges ?? []) {
          expect(range.offsetBytes).toBe(at)
          at += range.lengthBytes
        }
        expect(at).toBe(sizeBytes)
        expect(plan?.isCovered).toBe(true)
        expect(plan?.ranges.length).toBeLessThanOrEqual(AUDIT_RANGES_MAX)
      }),
    )
  })

  it('is asked for here and there above the bound, always inside of it', () => {
    const shard = shardOf(70 * 1024 * MiB)
    for (let i = 0; i < 50; i++) {
      const plan = planFileAudit(shard, nonceOf(i))
      expect(plan?.ranges).toHaveLength(AUDIT_RANGES_MAX)
      expect(plan?.isCovered).toBe(false)
      expect(plan?.ranges.every((range) => hasRange(shard, range))).toBe(true)
    }
    const places = planFileAudit(shard, nonceOf(1))?.ranges.map((range) => range.offsetBytes) ?? []
    expect(new Set(places).size).toBe(AUDIT_RANGES_MAX)
    expect(Math.max(...places) - Math.min(...places)).toBeGreaterThan(35 * 1024 * MiB)
  })

  it('takes no more room than the largest that may be asked for', () => {
    const shard = shardOf(10 * MiB, 90 * MiB)
    expect(fileAuditBytes(shard)).toBe(10 * MiB)
  })
})

describe('a whole-file audit', () => {
  const right = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  const other = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(3)]
  it.each([
    ['passes when the file is upstream’s and the answer is what its bytes give', right, 'whole', 'pass'],
    ['fails when the file is upstream’s and the answer is another', other, 'whole', 'fail'],
    ['fails when the answer is too short', right.slice(0, 1), 'whole', 'fail'],
    ['fails when other bytes came and the answer is what they give', right, 'other', 'fail'],
    ['is only witnessed when other bytes came than the node signed for', other, 'other', 'unknown'],
    ['is only witnessed when the file did not come whole', right, 'missing', 'unknown'],
    ['proves nothing when the node says that it does not hold the shard now', [], 'other', 'unknown'],
  ] as const)('%s', (_claim, hashes, kind, outcome) => {
    const found = kind === 'missing' ? { kind } : { kind, proofs: right }
    expect(judgeFileAudit({ isCovered: true }, hashes, found)).toBe(outcome)
  })

  it('fails by other bytes only when the answer covers all of the file: else what is wrong may lie beside it', () => {
    const uncovered = { isCovered: false }
    expect(judgeFileAudit(uncovered, right, { kind: 'other', proofs: right })).toBe('unknown')
    expect(judgeFileAudit(uncovered, right, { kind: 'whole', proofs: right })).toBe('pass')
    expect(judgeFileAudit(uncovered, other, { kind: 'whole', proofs: right })).toBe('fail')
  })
})
