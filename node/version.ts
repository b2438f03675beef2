/** The version of this software, as package.json says. */
import { createRequire } from 'node:module'
import { text } from '../protocol/codec/shape.ts'

const manifest: unknown = createRequire(import.meta.url)('../package.json')

export const VERSION = text((manifest as { version?: unknown }).version, 'package.json.version', 64)
export const AGENT = `wikiseed/${VERSION}`
