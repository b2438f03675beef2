/** Transmission's RPC in both its forms, written and read with the new names (see transmission.ts). */
import { record, ShapeError, text } from '../../protocol/codec/shape.ts'
import { TorrentError } from '../ports.ts'
import { type Answer, exchange, parseJson } from './http.ts'

export interface RpcOptions {
  /** The server, or its whole RPC address when that was moved. */
  readonly url: string
  readonly user: string | null
  readonly password: string | null
}

type Fields = Readonly<Record<string, unknown>>

const NAME = 'Transmission'
const SESSION = 'x-transmission-session-id'
const VERSION = 'x-transmission-rpc-version'
const RPC_PATH = 'transmission/rpc'
/** First version of JSON-RPC 2.0, in Transmission 4.1. */
const NEW_FORM_SINCE = 6

/** New name -> old name, of all that is used here and differs by more than `_` for `-`. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  hash_string: 'hashString',
  error_string: 'errorString',
  left_until_done: 'leftUntilDone',
  have_valid: 'haveValid',
  have_unchecked: 'haveUnchecked',
  total_size: 'totalSize',
  uploaded_ever: 'uploadedEver',
  peers_connected: 'peersConnected',
  download_dir: 'downloadDir',
  seed_ratio_mode: 'seedRatioMode',
  seed_idle_mode: 'seedIdleMode',
}
const NEW_NAMES = new Map(Object.entries(OLD_NAMES).map(([now, before]) => [before, now]))

export class TransmissionRpc {
  readonly #url: URL
  readonly #authorization: string | null
  #session = ''
  #isNew = false
  #id = 0

  constructor({ url, user, password }: RpcOptions) {
    const base = new URL(url)
    this.#url = /\/rpc\/$/.test(base.pathname) ? new URL(base.href.slice(0, -1)) : new URL(RPC_PATH, base)
    this.#authorization =
      user === null ? null : `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}`
  }

  /** Method, parameters and answer with the new names. Rejects with TorrentError `engine`. */
  async call(method: string, params: Fields = {}): Promise<Fields> {
    let answer = await this.#send(method, params)
    // Its guard against pages of other sites: the first request, and any after it started again, is to be repeated.
    if (answer.status === 409) {
      this.#session = answer.headers.get(SESSION)?.slice(0, 200) ?? ''
      const version = Number.parseInt(answer.headers.get(VERSION) ?? '', 10)
      this.#isNew = version >= NEW_FORM_SINCE
      answer = await this.#send(method, params)
    }
    if (answer.status === 401)
      throw new TorrentError('engine', 'Transmission does not accept this user name and password')
    if (answer.status === 403 || answer.status === 421)
      throw new TorrentError(
        'engine',
        'Transmission forbids this address (rpc-whitelist, rpc-host-whitelist)',
      )
    if (answer.status !== 200)
      throw new TorrentError('engine', `Transmission answered ${method} with status ${answer.status}`)
    const body = parseJson(NAME, answer.text)
    return reading(() => (this.#isNew ? newResult(body, method) : oldResult(body, method)))
  }

  #send(method: string, params: Fields): Promise<Answer> {
    const message = this.#isNew
      ? { jsonrpc: '2.0', method, params, id: ++this.#id }
      : { method: dashed(method), arguments: oldParams(method, params) }
    return exchange({
      program: NAME,
      url: this.#url,
      headers: {
        'content-type': 'application/json',
        ...(this.#session === '' ? {} : { [SESSION]: this.#session }),
        ...(this.#authorization === null ? {} : { authorization: this.#authorization }),
      },
      body: JSON.stringify(message),
    })
  }
}

/** Runs a reader on what Transmission answered; TorrentError `engine` names what was strange. */
export function reading<T>(reader: () => T): T {
  try {
    return reader()
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw new TorrentError('engine', `Transmission answered something strange: ${error.message}`)
  }
}

const REASON_LENGTH_MAX = 4_096

function newResult(body: unknown, method: string): Fields {
  const fields = record(body, 'answer')
  if (fields.error !== undefined) {
    const reason = text(record(fields.error, 'error').message, 'error.message', REASON_LENGTH_MAX)
    throw new TorrentError('engine', `Transmission refused ${method}: ${reason.slice(0, 200)}`)
  }
  return record(fields.result ?? {}, 'result')
}

function oldResult(body: unknown, method: string): Fields {
  const fields = record(body, 'answer')
  const result = text(fields.result, 'result', REASON_LENGTH_MAX)
  if (result !== 'success')
    throw new TorrentError('engine', `Transmission refused ${method}: ${result.slice(0, 200)}`)
  return record(renamed(fields.arguments ?? {}), 'arguments')
}

const dashed = (name: string): string => name.replaceAll('_', '-')

/** Names of parameters are dashed, except those of `torrent-set`; fields to get are in camel case. */
function oldParams(method: string, params: Fields): Fields {
  const nameOf = (name: string) => (method === 'torrent_set' ? (OLD_NAMES[name] ?? name) : dashed(name))
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      nameOf(name),
      name === 'fields' && Array.isArray(value) ? value.map((one) => OLD_NAMES[one] ?? one) : value,
    ]),
  )
}

/** Two levels are as deep as anything that is read here. */
function renamed(value: unknown, depth = 0): unknown {
  if (Array.isArray(value)) return value.map((one) => renamed(one, depth))
  if (typeof value !== 'object' || value === null || depth > 2) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      NEW_NAMES.get(name) ?? name.replaceAll('-', '_'),
      renamed(one, depth + 1),
    ]),
  )
}
