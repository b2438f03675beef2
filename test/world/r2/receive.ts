// The body of a signed upload, held against what its headers said of it.
import { rm } from 'node:fs/promises'
import { type Exchange, type Headers, hangUp, header, send } from '../exchange.ts'
import { type ReceivedFile, receiveFile } from '../receive-file.ts'
import { s3Error } from '../xml.ts'

export const xml: Headers = { 'content-type': 'application/xml', server: 'cloudflare' }

const keptHeaders = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
]

export function sendError(ex: Exchange, status: number, code: string, message: string): Promise<void> {
  return send(ex, status, xml, s3Error(code, message))
}

/** Undefined when the body was cut or does not match; then the request is answered and no file is left. */
export async function receiveChecked(
  ex: Exchange,
  path: string,
  payloadHash: string,
): Promise<ReceivedFile | undefined> {
  const received = await receiveFile(ex, path)
  if (!received) {
    hangUp(ex)
    return undefined
  }
  const refusal = refusalOf(header(ex, 'content-md5'), payloadHash, received)
  if (!refusal) return received
  await rm(path, { force: true })
  await sendError(ex, 400, ...refusal)
  return undefined
}

function refusalOf(
  md5: string | undefined,
  payloadHash: string,
  received: ReceivedFile,
): [string, string] | undefined {
  if (md5 !== undefined) {
    const bytes = Buffer.from(md5, 'base64')
    if (bytes.length !== 16) return ['InvalidDigest', 'The Content-MD5 you specified is not valid.']
    if (!bytes.equals(received.md5)) {
      return ['BadDigest', 'The Content-MD5 you specified did not match what we received.']
    }
  }
  if (payloadHash === 'UNSIGNED-PAYLOAD' || payloadHash === received.sha256.toString('hex')) return undefined
  return [
    'XAmzContentSHA256Mismatch',
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  ]
}

/** The headers that an object keeps. */
export function headersToKeep(ex: Exchange): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of Object.keys(ex.req.headers)) {
    const value = header(ex, name)
    if (value !== undefined && (keptHeaders.includes(name) || name.startsWith('x-amz-meta-')))
      kept[name] = value
  }
  return kept
}
