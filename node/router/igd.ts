/**
 * What a UPnP router says and is told (UPnP Internet Gateway Device 1 and 2): its description and SOAP, in bounded size and
 * time. Of their XML only a few elements matter, and they are looked for as text.
 */
import { RouterError } from '../ports.ts'
import { reasonOf } from './reason.ts'

/** A service of a router that maps ports. */
export interface WanService {
  readonly type: string
  readonly controlUrl: URL
}

const BYTES_MAX = 128 * 1024
const TIMEOUT_MS = 5_000
const SERVICES_MAX = 16
/** Best first. PPP is that of routers that dial in by themselves. */
const TYPES = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
]
const DETAIL_LENGTH_MAX = 100

/** The router's services that map ports, best first. Rejects with RouterError when it has none. */
export async function readServices(description: URL, signal: AbortSignal): Promise<WanService[]> {
  const { ok, text } = await exchange(description, { signal })
  if (!ok) throw new RouterError('malformed', `${description.host} does not give its description`)
  const services = servicesIn(text, description)
  if (services.length === 0) throw new RouterError('absent', `${description.host} maps no ports`)
  return services
}

/** Exported for tests. */
export function servicesIn(text: string, description: URL): WanService[] {
  const base = URL.parse(elementIn(text, 'URLBase') ?? '') ?? description
  const found: WanService[] = []
  for (const [, body = ''] of text.matchAll(/<service>([\s\S]*?)<\/service>/g)) {
    const type = elementIn(body, 'serviceType') ?? ''
    const controlUrl = URL.parse(elementIn(body, 'controlURL') ?? '', base)
    // A router speaks for itself only: nobody is made to post to a third machine.
    const isOwn = controlUrl?.protocol === 'http:' && controlUrl.hostname === description.hostname
    if (TYPES.includes(type) && isOwn && found.length < SERVICES_MAX) found.push({ type, controlUrl })
  }
  return found.sort((a, b) => TYPES.indexOf(a.type) - TYPES.indexOf(b.type))
}

/** The router said no; `upnpCode` is UPnP's number, 0 when it gave none. */
export class UpnpRefusal extends RouterError {
  readonly upnpCode: number
  constructor(upnpCode: number, detail: string) {
    super('refused', detail)
    this.upnpCode = upnpCode
  }
}

/** Calls one action; resolves with the text of the answer. Rejects with RouterError, or the signal's reason. */
export async function call(
  service: WanService,
  action: string,
  values: Readonly<Record<string, string | number>>,
  signal: AbortSignal,
): Promise<string> {
  const parts = Object.entries(values).map(([name, value]) => `<${name}>${escaped(String(value))}</${name}>`)
  const { ok, text } = await exchange(service.controlUrl, {
    signal,
    method: 'POST',
    headers: { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${service.type}#${action}"` },
    body:
      '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
      's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
      `<u:${action} xmlns:u="${service.type}">${parts.join('')}</u:${action}></s:Body></s:Envelope>`,
  })
  if (ok) return text
  const code = Number(/^\d{1,4}$/.exec(elementIn(text, 'errorCode') ?? '')?.[0] ?? 0)
  const said = (elementIn(text, 'errorDescription') ?? '').replace(/[^\x20-\x7e]/g, '?')
  const detail = code === 0 ? 'refused without a reason' : `error ${code} ${said.slice(0, DETAIL_LENGTH_MAX)}`
  throw new UpnpRefusal(code, `${service.controlUrl.host}: ${detail.trim()}`)
}

/** The text of the first element of that name, whatever its prefix; null when there is none. */
export function elementIn(text: string, name: string): string | null {
  const match = new RegExp(`<(?:[\\w-]+:)?${name}(?:\\s[^<>]*)?>([^<]*)<`).exec(text)
  return match?.[1] === undefined ? null : unescaped(match[1].trim())
}

const ENTITIES: readonly (readonly [entity: string, character: string])[] = [
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&apos;', "'"],
  ['&amp;', '&'],
]

function unescaped(text: string): string {
  return ENTITIES.reduce((out, [entity, character]) => out.replaceAll(entity, character), text)
}

function escaped(text: string): string {
  return ENTITIES.toReversed().reduce((out, [entity, character]) => out.replaceAll(character, entity), text)
}

async function exchange(
  url: URL,
  init: RequestInit & { signal: AbortSignal },
): Promise<{ ok: boolean; text: string }> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const signal = AbortSignal.any([init.signal, timeout])
    const answer = await fetch(url, { ...init, signal, redirect: 'error' })
    const chunks: Uint8Array[] = []
    let sizeBytes = 0
    for await (const chunk of answer.body ?? []) {
      sizeBytes += chunk.length
      if (sizeBytes > BYTES_MAX) throw new RouterError('malformed', `${url.host} says too much`)
      chunks.push(chunk)
    }
    return { ok: answer.ok, text: Buffer.concat(chunks).toString('utf8') }
  } catch (error) {
    if (init.signal.aborted) throw init.signal.reason
    if (error instanceof RouterError) throw error
    throw new RouterError('absent', `${url.host}: ${timeout.aborted ? 'no answer' : reasonOf(error)}`)
  }
}
