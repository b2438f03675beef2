/** What a coordinator remembers of the cycle bundles that it made: one JSON value each, by the bundle's name. */
import type { Store } from '../node/ports.ts'
import { keyOf, prefixOf } from '../node/store/keyspace.ts'
import { utf8FromBytes, utf8ToBytes } from '../protocol/codec/bytes.ts'
import { integer, record } from '../protocol/codec/shape.ts'
import { type BundleFacts, readBundleFacts } from '../protocol/manifest/merged-manifest.ts'

/** A bundle whose .torrent is kept. */
export interface MadeBundle extends BundleFacts {
  readonly madeAtMs: number
}

/** Throws ShapeError when a stored row is not one of ours. */
export async function loadBundles(store: Store): Promise<Map<string, MadeBundle>> {
  const made = new Map<string, MadeBundle>()
  for await (const { key, value } of store.list(prefixOf('bundles'))) {
    const bundle = readBundle(JSON.parse(utf8FromBytes(value) ?? ''), key)
    made.set(bundle.name, bundle)
  }
  return made
}

export async function keepBundle(store: Store, bundle: MadeBundle): Promise<void> {
  const value = utf8ToBytes(JSON.stringify(bundle))
  await store.batch([{ type: 'put', key: keyOf('bundles', bundle.name), value }])
}

export async function forgetBundle(store: Store, name: string): Promise<void> {
  await store.batch([{ type: 'del', key: keyOf('bundles', name) }])
}

function readBundle(value: unknown, path: string): MadeBundle {
  const fields = record(value, path)
  return {
    ...readBundleFacts(fields, path),
    madeAtMs: integer(fields.madeAtMs, `${path}.madeAtMs`),
  }
}
