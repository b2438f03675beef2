/** Where a node's data folder keeps what, and the one way to make a path from a stranger's relative path. */
import { join, resolve, sep } from 'node:path'

export interface Layout {
  readonly root: string
  /** Verified files in the origin's layout: `tenwiki/20260101/...`; served and seeded from here. */
  readonly mirror: string
  /** Unverified bytes; moved into the mirror file by file. On the same file system as the mirror. */
  readonly staging: string
  readonly torrents: string
  /** The nodes of the BitTorrent DHT that answered last. */
  readonly dht: string
  /** The same over IPv6. */
  readonly dht6: string
  /** The level database. */
  readonly store: string
  readonly log: string
}

export function layoutOf(root: string): Layout {
  const base = resolve(root)
  return {
    root: base,
    mirror: join(base, 'mirror'),
    staging: join(base, 'staging'),
    torrents: join(base, 'torrents'),
    dht: join(base, 'dht.json'),
    dht6: join(base, 'dht6.json'),
    store: join(base, 'store'),
    log: join(base, 'log'),
  }
}

/**
 * `root` joined with a relative path of `/`-separated elements. Throws RangeError when it would leave the root or means
 * different things on different systems: absolute, `.` or `..`, an empty element, a backslash, a colon, a control character.
 */
export function safeJoin(root: string, relativePath: string): string {
  const elements = relativePath.split('/')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  const strange = /[\\:\u0000-\u001f\u007f]/.test(relativePath)
  if (strange || elements.some((element) => element === '' || element === '.' || element === '..')) {
    throw new RangeError(`not a path inside the folder: ${JSON.stringify(relativePath.slice(0, 200))}`)
  }
  const base = resolve(root)
  const path = join(base, ...elements)
  // The check of the result stands on its own: whatever the rules above miss does not leave the root.
  if (!path.startsWith(base.endsWith(sep) ? base : base + sep)) {
    throw new RangeError(`not a path inside the folder: ${JSON.stringify(relativePath.slice(0, 200))}`)
  }
  return path
}
