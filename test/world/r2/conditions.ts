// Conditional writes (R2 extensions: If-Match, If-None-Match and the two dates on PutObject).
import { type Exchange, header } from '../exchange.ts'
import type { StoredObject } from './store.ts'

/** True when the write must be refused with 412. */
export function writeConditionFails(ex: Exchange, current: StoredObject | undefined): boolean {
  const match = header(ex, 'if-match')
  if (match !== undefined && !(current && matches(match, current.etag))) return true
  const noneMatch = header(ex, 'if-none-match')
  if (noneMatch !== undefined && current && matches(noneMatch, current.etag)) return true
  if (!current) return false
  const modifiedMs = Math.floor(current.lastModifiedMs / 1000) * 1000
  const unmodifiedSince = Date.parse(header(ex, 'if-unmodified-since') ?? '')
  if (Number.isFinite(unmodifiedSince) && modifiedMs > unmodifiedSince) return true
  const modifiedSince = Date.parse(header(ex, 'if-modified-since') ?? '')
  return noneMatch === undefined && Number.isFinite(modifiedSince) && modifiedMs <= modifiedSince
}

function matches(list: string, etag: string): boolean {
  const bare = etag.replaceAll('"', '')
  return list
    .split(',')
    .some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '').replaceAll('"', '') === bare)
}
