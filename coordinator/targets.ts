/** The places where this coordinator publishes, from its configuration: the local folder first, then R2 and Gist. */
import { join } from 'node:path'
import type { Clock, Log } from '../node/ports.ts'
import type { CoordinatorConfig } from './config.ts'
import { realSleep } from './http/sleep.ts'
import { createGistTarget } from './publish/gist.ts'
import { createLocalFolder } from './publish/local-folder.ts'
import { openPublishRecord } from './publish/publish-record.ts'
import { createS3Target } from './publish/s3.ts'
import type { PublishTarget } from './publish/target.ts'

export async function publishTargets(
  config: CoordinatorConfig,
  parts: { clock: Clock; log: Log; folder: string },
): Promise<PublishTarget[]> {
  const targets: PublishTarget[] = [createLocalFolder({ dir: config.publishDir })]
  if (config.r2 !== null) {
    const record = await openPublishRecord(join(parts.folder, 'published-r2.json'))
    targets.push(createS3Target({ name: 'r2', ...config.r2, record, clock: parts.clock, sleep: realSleep }))
  }
  if (config.gist !== null) {
    const record = await openPublishRecord(join(parts.folder, 'published-gist.json'))
    targets.push(
      createGistTarget({
        ...config.gist,
        description: 'WikiSeed: verified Wikimedia dumps',
        publicUrl: config.publicUrl,
        record,
        sleep: realSleep,
      }),
    )
  }
  return targets
}
