/**
 * A range of one file, handed on as it comes: each byte once and in order, over retries. A source that gives anything but the very
 * range that was asked for is left: what it has may be right, but it cannot be asked for parts.
 */
import { OriginError } from '../ports.ts'
import { contentLength, expectFile } from './answer.ts'
import { PROGRESS_BYTES, type Receiving } from './download.ts'
import type { HttpClient, HttpResponse } from './http-client.ts'
import { type RetryPolicy, retry } from './retry.ts'

export interface RangeJob extends Receiving {
  readonly url: URL
  /** Bytes `start` up to (not with) `end`; not empty. */
  readonly start: number
  readonly end: number
  /** Of the whole file; an answer about a file of another size is refused. */
  readonly sizeBytes: number
}

/** Rejects with OriginError, or with what `use` threw. */
export async function downloadRange(
  client: HttpClient,
  policy: RetryPolicy,
  job: RangeJob,
  use: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  const { url, end, pauseMaxMs, onBytes, pace, signal } = job
  let at = job.start
  let farthest = at
  await retry(
    policy,
    (gotAhead) =>
      client.get(
        url,
        { headers: { range: `bytes=${at}-${end - 1}` }, signal, pauseMaxMs },
        async (response) => {
          checkAnswer(response, job, at)
          for await (const chunk of response.body) {
            onBytes?.(chunk.length)
            if (at + chunk.length > end)
              throw new OriginError('no-ranges', `${url}: more bytes than were asked for`)
            await use(chunk)
            at += chunk.length
            job.onStep?.('chunk')
            if (at >= farthest + PROGRESS_BYTES) {
              farthest = at
              gotAhead()
            }
            await pace?.(chunk.length, signal)
          }
          if (at < end) throw new OriginError('network', `${url}: ended at byte ${at} of ${end}`)
        },
      ),
    signal,
  )
}

/** RFC 9110 14.4. A length or a total that is not said is no answer either. */
function checkAnswer(response: HttpResponse, { url, end, sizeBytes }: RangeJob, start: number): void {
  expectFile(response, url, [200, 206, 416])
  const length = contentLength(response)
  const [, first, last, whole] =
    /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/.exec(response.header('content-range') ?? '') ?? []
  const total = response.status === 200 ? length : whole === undefined ? null : Number(whole)
  if (total !== null && total !== sizeBytes)
    throw new OriginError('wrong-size', `${url}: has ${total} bytes, expected ${sizeBytes}`)
  const isRange = response.status === 206 && Number(first) === start && Number(last) === end - 1
  if (!isRange || (length !== null && length !== end - start))
    throw new OriginError('no-ranges', `${url}: does not give the range ${start}-${end - 1}`)
}
