// The access log is the measure of what was taken from the origin: one JSON line for each finished or cut request.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ServiceName } from './faults.ts'

const keptRecordsMax = 200_000

/** `dump` is a file of the dumps folder, `status` a JSON or checksum document, `page` anything else. */
export type WikimediaKind = 'dump' | 'status' | 'page'

export type AccessRecord = {
  /** When the request came, ISO 8601 UTC. */
  at: string
  service: ServiceName
  method: string
  /** Path and query as sent. Credentials travel in headers, which are not logged. */
  path: string
  /** 0 when the connection ended before an answer began. */
  status: number
  kind?: WikimediaKind
  range?: string
  /** Body bytes handed to the connection. */
  bytes: number
  bytesReceived: number
  userAgent: string
  remoteAddress: string
  remotePort: number
  faults?: string[]
  /** Requests of the same client to this service at that moment, this one included. */
  concurrent: number
  /** True when the answer did not end. */
  cut?: true
  durationMs: number
}

export type ClientSummary = {
  requests: number
  originRequests: number
  originBytes: number
  statusBytes: number
  maxConcurrent: number
}

export type Summary = {
  /** Bytes of dump files that Wikimedia sent, and the requests for them. */
  originBytes: number
  originRequests: number
  statusBytes: number
  statusRequests: number
  /** All requests to Wikimedia by status code. */
  byStatus: Record<string, number>
  byUserAgent: Record<string, ClientSummary>
  maxConcurrentByClient: number
  services: Record<string, { requests: number; bytes: number; bytesReceived: number }>
}

export class AccessLog {
  readonly records: AccessRecord[] = []
  readonly #file: number | undefined
  readonly #clients = new Map<string, ClientSummary>()
  readonly #summary: Omit<Summary, 'byUserAgent'> = {
    originBytes: 0,
    originRequests: 0,
    statusBytes: 0,
    statusRequests: 0,
    byStatus: {},
    maxConcurrentByClient: 0,
    services: {},
  }

  constructor(path: string | undefined) {
    if (path === undefined) return
    mkdirSync(dirname(path), { recursive: true })
    this.#file = openSync(path, 'a')
  }

  add(record: AccessRecord): void {
    if (this.records.length < keptRecordsMax) this.records.push(record)
    this.#count(record)
    // Written at once, so that a killed world has lost no line.
    if (this.#file !== undefined) writeSync(this.#file, `${JSON.stringify(record)}\n`)
  }

  summary(): Summary {
    return structuredClone({ ...this.#summary, byUserAgent: Object.fromEntries(this.#clients) })
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
  }

  #count(record: AccessRecord): void {
    const summary = this.#summary
    const service = summary.services[record.service] ?? { requests: 0, bytes: 0, bytesReceived: 0 }
    summary.services[record.service] = service
    service.requests += 1
    service.bytes += record.bytes
    service.bytesReceived += record.bytesReceived
    if (record.service !== 'wikimedia') return
    const client = this.#clients.get(record.userAgent) ?? newClient()
    this.#clients.set(record.userAgent, client)
    client.requests += 1
    client.maxConcurrent = Math.max(client.maxConcurrent, record.concurrent)
    summary.maxConcurrentByClient = Math.max(summary.maxConcurrentByClient, record.concurrent)
    summary.byStatus[String(record.status)] = (summary.byStatus[String(record.status)] ?? 0) + 1
    if (record.kind === 'dump') {
      summary.originRequests += 1
      summary.originBytes += record.bytes
      client.originRequests += 1
      client.originBytes += record.bytes
    } else if (record.kind === 'status') {
      summary.statusRequests += 1
      summary.statusBytes += record.bytes
      client.statusBytes += record.bytes
    }
  }
}

function newClient(): ClientSummary {
  return { requests: 0, originRequests: 0, originBytes: 0, statusBytes: 0, maxConcurrent: 0 }
}
