// AWS Signature Version 4, as R2 checks it on the Authorization header. Written from the AWS documentation, so that a
// client is judged by the rules and not by another part of this project.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type Exchange, header } from '../exchange.ts'

export type Keys = { accessKeyId: string; secretAccessKey: string }
export type Verdict =
  | { ok: true; payloadHash: string }
  | { ok: false; status: number; code: string; message: string }

const clockSkewMaxMs = 15 * 60_000
/** R2 has one region; these names are its aliases and its location hints. */
const regions = ['auto', 'us-east-1', '', 'wnam', 'enam', 'weur', 'eeur', 'apac', 'oc']

/** Checks everything but the body; the body must then have the digest `payloadHash`, unless it is UNSIGNED-PAYLOAD. */
export function verifySignature(ex: Exchange, keys: Keys, nowMs: number): Verdict {
  const authorization = header(ex, 'authorization')
  if (authorization === undefined) return refuse(400, 'InvalidArgument', 'Authorization')
  const parsed = parseAuthorization(authorization)
  if (!parsed) return refuse(400, 'InvalidArgument', 'Authorization')
  const { accessKeyId, date, region, service, signedHeaders, signature } = parsed
  if (accessKeyId !== keys.accessKeyId) {
    return refuse(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
    )
  }
  if (service !== 's3') return refuse(400, 'AuthorizationHeaderMalformed', 'The service must be s3.')
  if (!regions.includes(region)) {
    return refuse(
      400,
      'InvalidRegionName',
      `The region name '${region}' is not valid. Must be one of: ${regions.filter(Boolean).join(', ')}`,
    )
  }
  const stamp = header(ex, 'x-amz-date') ?? ''
  const signedMs = amzTime(stamp)
  if (signedMs === undefined || !stamp.startsWith(date)) {
    return refuse(403, 'AccessDenied', 'AWS authentication requires a valid X-Amz-Date header')
  }
  if (Math.abs(nowMs - signedMs) > clockSkewMaxMs) {
    return refuse(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  }
  const payloadHash = header(ex, 'x-amz-content-sha256')
  if (payloadHash === undefined) {
    return refuse(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  }
  if (payloadHash.startsWith('STREAMING-')) {
    return refuse(501, 'NotImplemented', `${payloadHash} is not implemented`)
  }
  if (payloadHash !== 'UNSIGNED-PAYLOAD' && !/^[0-9a-f]{64}$/.test(payloadHash)) {
    return refuse(400, 'InvalidArgument', 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a SHA-256 in hex')
  }
  const unsigned = requiredHeaders(ex).find((name) => !signedHeaders.includes(name))
  if (unsigned !== undefined) {
    return refuse(
      403,
      'AccessDenied',
      `There were headers present in the request which were not signed: ${unsigned}`,
    )
  }
  const scope = `${date}/${region}/${service}/aws4_request`
  const toSign = [
    'AWS4-HMAC-SHA256',
    stamp,
    scope,
    sha256(canonicalRequest(ex, signedHeaders, payloadHash)),
  ].join('\n')
  const key = [date, region, service, 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => hmac(secret, part),
    `AWS4${keys.secretAccessKey}`,
  )
  const expected = hmac(key, toSign)
  const given = Buffer.from(signature, 'hex')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    const message =
      'The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.'
    return refuse(403, 'SignatureDoesNotMatch', message)
  }
  return { ok: true, payloadHash }
}

function refuse(status: number, code: string, message: string): Verdict {
  return { ok: false, status, code, message }
}

type Authorization = {
  accessKeyId: string
  date: string
  region: string
  service: string
  signedHeaders: string[]
  signature: string
}

function parseAuthorization(text: string): Authorization | undefined {
  const match = /^AWS4-HMAC-SHA256 (.+)$/.exec(text)
  const fields = new Map<string, string>()
  for (const part of (match?.[1] ?? '').split(',')) {
    const [name = '', ...value] = part.trim().split('=')
    fields.set(name, value.join('='))
  }
  const [accessKeyId, date, region, service, end] = (fields.get('Credential') ?? '').split('/')
  const signedHeaders = (fields.get('SignedHeaders') ?? '').split(';')
  const signature = fields.get('Signature') ?? ''
  if (!accessKeyId || !date || region === undefined || !service || end !== 'aws4_request') return undefined
  if (signedHeaders[0] === '' || !/^[0-9a-f]{64}$/.test(signature)) return undefined
  return { accessKeyId, date, region, service, signedHeaders, signature }
}

/** The host and every x-amz header must be under the signature. */
function requiredHeaders(ex: Exchange): string[] {
  return ['host', ...Object.keys(ex.req.headers).filter((name) => name.startsWith('x-amz-'))]
}

function canonicalRequest(ex: Exchange, signedHeaders: readonly string[], payloadHash: string): string {
  const path = ex.rawPath
    .split('/')
    .map((segment) => uriEncode(decode(segment)))
    .join('/')
  const headers = signedHeaders.map(
    (name) => `${name}:${(header(ex, name) ?? '').trim().replace(/\s+/g, ' ')}\n`,
  )
  return [
    ex.method,
    path,
    canonicalQuery(ex.rawQuery),
    headers.join(''),
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n')
}

function canonicalQuery(rawQuery: string): string {
  if (rawQuery === '') return ''
  const pairs = rawQuery.split('&').map((pair): [string, string] => {
    const [name = '', ...value] = pair.split('=')
    return [uriEncode(decode(name)), uriEncode(decode(value.join('=')))]
  })
  pairs.sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
  return pairs.map(([name, value]) => `${name}=${value}`).join('&')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** RFC 3986: all but unreserved characters. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function amzTime(stamp: string): number | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(stamp)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second] = match.map(Number)
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
