/** Store on LevelDB; the only file that names `level`. Its own lock keeps a second process out. */
import { access, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Level } from 'level'
import { writeFileAtomic } from '../files/durable.ts'
import type { Store } from '../ports.ts'
import { errorCode } from '../system-error.ts'
import { isKey } from './keyspace.ts'
import { openValue, sealValue } from './sealed-value.ts'
import { StoreError } from './store-error.ts'

/** Of uncompressed blocks: a value is read once, and then kept by whoever needs it. LevelDB's own 8 MiB are for others. */
const CACHE_BYTES = 1024 ** 2

/** Beside the database, so that it survives the loss of it. */
export function markerPath(folder: string): string {
  return `${folder}.created`
}

/**
 * Opens the database in this folder, or creates it the first time. Later a missing database is an error and not a new, empty
 * one: a deleted CURRENT file would else forget everything in silence. Rejects with StoreError: `locked` (another process),
 * `missing`, `corrupt` or `disk`. `dataFolder` is how the error names the place to people.
 */
export async function openLevelStore(folder: string, dataFolder = dirname(folder)): Promise<Store> {
  const marker = markerPath(folder)
  const isFirst = await access(marker).then(
    () => false,
    () => true,
  )
  await mkdir(dirname(folder), { recursive: true })
  const db = new Level<string, Uint8Array>(folder, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
    createIfMissing: isFirst,
    cacheSize: CACHE_BYTES,
    errorIfExists: false,
  })
  try {
    await db.open()
  } catch (error) {
    throw openError(error, folder, dataFolder)
  }
  if (isFirst)
    await writeFileAtomic(marker, new TextEncoder().encode('The store beside this file was created.\n'))

  return {
    async get(key) {
      const sealed = await db.get(checkKey(key)).catch((error: unknown) => fail(error, folder))
      return sealed === undefined ? null : openValue(key, sealed)
    },
    async batch(operations) {
      const rows = operations.map((one) =>
        one.type === 'put'
          ? { type: one.type, key: checkKey(one.key), value: sealValue(one.key, one.value) }
          : { type: one.type, key: checkKey(one.key) },
      )
      await db.batch(rows, { sync: true }).catch((error: unknown) => fail(error, folder))
    },
    async *list(prefix) {
      // Keys are ASCII, so every key with the prefix sorts below prefix + DEL.
      try {
        const rows = db.iterator({ gte: prefix, lt: `${prefix}\x7f` })
        for await (const [key, sealed] of rows) yield { key, value: openValue(key, sealed) }
      } catch (error) {
        throw error instanceof StoreError ? error : storeError(error, folder)
      }
    },
    close: () => db.close(),
  }
}

function checkKey(key: string): string {
  if (!isKey(key)) throw new TypeError(`not a key: ${JSON.stringify(key)}`)
  return key
}

function openError(error: unknown, folder: string, dataFolder: string): StoreError {
  const cause = error instanceof Error ? error.cause : undefined
  const detail = cause instanceof Error ? cause.message : String(error)
  if (errorCode(cause) === 'LEVEL_LOCKED') {
    return new StoreError('locked', `data folder ${dataFolder} is in use by another process`, {
      cause: error,
    })
  }
  if (/does not exist/.test(detail)) {
    return new StoreError('missing', `the store ${folder} is missing or has lost its files (${detail})`, {
      cause: error,
    })
  }
  return storeError(cause ?? error, folder)
}

function fail(error: unknown, folder: string): never {
  throw storeError(error, folder)
}

function storeError(error: unknown, folder: string): StoreError {
  const detail = error instanceof Error ? error.message : String(error)
  const code = errorCode(error)
  if (code === 'LEVEL_CORRUPTION')
    return new StoreError('corrupt', `the store ${folder} is damaged: ${detail}`, { cause: error })
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') {
    return new StoreError('closed', `the store ${folder} is closed`, { cause: error })
  }
  return new StoreError('disk', `the store ${folder} failed: ${detail}`, { cause: error })
}
